import { type Manifest, type SamplingSettings, TandemError } from '@tandem/shared';
import { TextStream, type Tokenizer } from '@tandem/shared/tokenizer';
import type { ParsedGenerateOptions } from '../options.js';
import { type DecodeRun, decode } from './decode-loop.js';
import type { GenerationResult, TextPart } from './generation.js';
import { Output } from './output.js';

/** Prompt tokens that the first piece of output is decoded after: enough for any decoder's view to the left. */
const CONTEXT_TOKENS = 4;

export interface Prompt {
  text: string;
  /** False where the text has its special tokens in it. */
  addSpecialTokens: boolean;
}

export interface GenerationRun
  extends Omit<DecodeRun, 'sampling' | 'endLength' | 'eosTokenIds' | 'emitsDrafts' | 'waited'> {
  /** Undefined: the ledger's own text goes on. */
  prompt: Prompt | undefined;
  options: ParsedGenerateOptions;
  tokenizer: Tokenizer;
  manifest: Manifest;
  capacity: number;
  /** The ledger holds this generation's text from now on. */
  begun(): void;
  emit(part: TextPart): void;
}

/** One generation from prompt to result: tokens to text, stop sequences, figures. */
export async function runGeneration(run: GenerationRun): Promise<GenerationResult> {
  const { ledger, peer, tokenizer, options, manifest } = run;
  const startedMs = run.nowMs();
  const meter = startMeter(run);
  const prompt = run.prompt ? encodePrompt(run, run.prompt) : promptOf(ledger);
  const endLength = Math.min(run.capacity, prompt.length + options.maxOutputTokens);
  // A larger model may have written past the end.
  const toldLength = run.prompt ? prompt.length : Math.min(ledger.settled, endLength);
  const stream = new TextStream(tokenizer, prompt.slice(-CONTEXT_TOKENS), options.stopSequences);
  const emitsDrafts = options.emit === 'provisional';
  const output = new Output({
    promptLength: prompt.length,
    toldLength,
    stream,
    drafts: () => (emitsDrafts ? ledger.drafts : []),
    emit: run.emit,
  });
  try {
    run.signal.throwIfAborted();
    if (run.prompt) ledger.begin(prompt);
    // The last row has to run again, because nobody kept its logits.
    else if (ledger.fed === ledger.settled) ledger.unfeed(ledger.settled - 1);
    run.begun();
    const decoding = decode({
      ...run,
      sampling: samplingOf(options),
      endLength,
      eosTokenIds: new Set(manifest.eosTokenIds),
      emitsDrafts,
      waited: meter.waited,
    });
    for await (const decoded of decoding) {
      if (decoded.kind === 'drafted') {
        output.drafted();
        continue;
      }
      const { entry } = decoded;
      output.push(entry, manifest.eosTokenIds.includes(entry.token));
      if (output.end > toldLength) {
        meter.token();
        run.events.emit({ kind: 'settled', position: output.end - 1, token: entry.token, origin: entry.origin });
      }
      if (output.isStopped) break;
    }
    output.finish();
  } catch (cause) {
    throw describeFailure(cause, run.signal, output.text);
  } finally {
    // Whatever ended it: nobody waits for the rest any more.
    if (peer) peer.cancel();
    else ledger.cancel();
  }
  const { text, tokens, isStopped } = output;
  return {
    text,
    tokens,
    finishReason: isStopped ? 'stop' : 'length',
    usage: {
      inputTokens: prompt.length,
      outputTokens: tokens.length,
      totalTokens: prompt.length + tokens.length,
    },
    ...meter.read(startedMs),
  };
}

/** The text that goes on was begun with these tokens. */
function promptOf(ledger: GenerationRun['ledger']): number[] {
  return Array.from({ length: ledger.promptLength }, (_, position) => ledger.tokenAt(position)!);
}

function encodePrompt({ tokenizer, capacity }: GenerationRun, { text, addSpecialTokens }: Prompt): number[] {
  if (typeof text !== 'string') {
    throw new TandemError('INVALID_OPTION', `generate: the prompt is a ${typeof text}, it must be a string`);
  }
  const tokens = tokenizer.encode(text, { addSpecialTokens });
  if (tokens.length === 0) throw new TandemError('INVALID_OPTION', 'generate: the prompt has no tokens');
  if (tokens.length >= capacity) {
    throw new TandemError(
      'CONTEXT_TOO_LONG',
      `the prompt has ${tokens.length} tokens, the session holds ${capacity} with the output; shorten the prompt`,
      { details: { promptTokens: tokens.length, capacity } },
    );
  }
  return tokens;
}

function samplingOf({ temperature, topK, topP, minP, seed, logprobs }: ParsedGenerateOptions): SamplingSettings {
  return { temperature, topK, topP, minP, seed, ...(logprobs === undefined ? {} : { logprobs }) };
}

/** Figures of one generation as differences of the session's totals. */
function startMeter({ peer, drafter, nowMs }: GenerationRun) {
  const before = { ...peer?.meter.totals, ...peer?.transfer, deviceMs: drafter?.engineMs ?? 0 };
  let waitedMs = 0;
  let firstTokenMs: number | undefined;
  const since = (now: number | undefined, then: number | undefined) => (now ?? 0) - (then ?? 0);
  return {
    waited(ms: number) {
      waitedMs += ms;
    },
    token() {
      firstTokenMs ??= nowMs();
    },
    read(startedMs: number): Pick<GenerationResult, 'timings' | 'transfer'> {
      const endedMs = nowMs();
      const totals = peer?.meter.totals;
      return {
        timings: {
          elapsedMs: endedMs - startedMs,
          timeToFirstTokenMs: (firstTokenMs ?? endedMs) - startedMs,
          deviceMs: since(drafter?.engineMs, before.deviceMs),
          wireMs: since(totals?.wireMs, before.wireMs),
          cloudMs: since(totals?.engineMs, before.engineMs) + since(totals?.queueMs, before.queueMs),
          waitedMs,
        },
        transfer: {
          roundTrips: since(totals?.roundTrips, before.roundTrips),
          forwards: since(totals?.forwards, before.forwards),
          bytesUp: since(peer?.transfer.bytesUp, before.bytesUp),
          bytesDown: since(peer?.transfer.bytesDown, before.bytesDown),
        },
      };
    },
  };
}

/** Everything that ends a generation is a TandemError with the settled text in it: the user's text survives. */
function describeFailure(cause: unknown, signal: AbortSignal, text: string): TandemError {
  if (signal.aborted && cause === signal.reason) {
    if (cause instanceof TandemError)
      return new TandemError(cause.code, withoutCode(cause), { cause, details: { text } });
    return new TandemError('ABORTED', 'the signal aborted the generation', { cause, details: { text } });
  }
  if (cause instanceof TandemError) {
    const details = { ...cause.details, text };
    return new TandemError(cause.code, withoutCode(cause), { cause, details, retryable: cause.retryable });
  }
  return new TandemError('ENGINE_FAILED', String(cause), { cause, details: { text } });
}

function withoutCode({ code, message }: TandemError): string {
  return message.slice(code.length + 2);
}
