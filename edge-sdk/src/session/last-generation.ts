import type { ParsedGenerateOptions } from '../options.js';

/** The generation that a session's last tokens belong to. */
export interface LastGeneration {
  options: Omit<ParsedGenerateOptions, 'signal'>;
  isFinished: boolean;
}
