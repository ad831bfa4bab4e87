import type { RowCodecName } from '../codec/row-codec.js';
import type { SamplingSettings } from '../sampling/settings.js';
import type { Engine } from './engine.js';

export interface UnsplitOptions {
  /** Token ids. */
  prompt: readonly number[];
  maxOutputTokens: number;
  sampling: SamplingSettings;
  /** Rows pass it at the cut here, too: the deeper stages see what the wire would give them. */
  codec: RowCodecName;
  eosTokenIds: readonly number[];
  /** Name of the session in the engine; runs at the same time need different ones. Default `unsplit`. */
  session?: string;
}

/**
 * The oracle: the whole chain in one process, token by token, no drafts, no exits, no network.
 * Whatever a session in exact mode settles must be equal to this. `engine` must hold all stages.
 */
export async function generateUnsplit(engine: Engine, options: UnsplitOptions): Promise<number[]> {
  const session = options.session ?? 'unsplit';
  const { stages, contextLength } = engine.info;
  const capacity = Math.min(contextLength, options.prompt.length + options.maxOutputTokens);
  await engine.open({ session, firstStage: 0, endStage: stages, capacity, codec: options.codec });
  const output: number[] = [];
  let input = Int32Array.from(options.prompt);
  for (let length = 0; length + input.length <= capacity && output.length < options.maxOutputTokens; ) {
    const { choices } = await engine.step({
      session,
      from: length,
      input: { kind: 'tokens', tokens: input },
      depth: stages,
      want: [length + input.length - 1],
      drafts: [],
      sampling: options.sampling,
    });
    length += input.length;
    const token = choices[0]!.token;
    output.push(token);
    if (options.eosTokenIds.includes(token)) break;
    input = Int32Array.of(token);
  }
  await engine.close(session);
  return output;
}
