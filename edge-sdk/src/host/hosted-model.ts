import { openDeviceModel } from '#platform';
import { LocalModel } from '../local-model.js';
import type { ParsedLoadOptions } from '../options.js';

/** A model as a host has it. */
export interface HostedModel {
  model: LocalModel;
  tokenizerFiles: Record<string, Uint8Array>;
  /** Its host needs it no more. */
  release(): Promise<void>;
}

export async function openHostedModel(source: string, options: ParsedLoadOptions): Promise<HostedModel> {
  const opened = await openDeviceModel(source, options);
  const model = await LocalModel.of(opened);
  return { model, tokenizerFiles: opened.tokenizerFiles, release: () => model.dispose() };
}
