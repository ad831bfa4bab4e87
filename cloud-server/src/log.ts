import { pino } from 'pino';

/**
 * The only door to pino. Fields are figures and codes; text, token ids, rows, credentials and session ids never get in.
 */
export interface Log {
  debug(fields: LogFields, text: string): void;
  info(fields: LogFields, text: string): void;
  warn(fields: LogFields, text: string): void;
  error(fields: LogFields, text: string): void;
}

export type LogFields = Record<string, string | number | boolean | undefined>;

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const STDERR = 2;

/** JSON lines on standard error; standard output is for the one line that says where the server is. */
export function createLog(level: LogLevel): Log {
  return pino({ level, base: null }, pino.destination({ dest: STDERR, sync: true }));
}
