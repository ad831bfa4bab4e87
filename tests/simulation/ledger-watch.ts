import { Ledger } from '@tandem/edge/testing';

/** Every method that changes a ledger. */
const CHANGES = [
  'begin',
  'feed',
  'unfeed',
  'fork',
  'append',
  'addRows',
  'nextForward',
  'applyVerdict',
  'acknowledge',
  'rewind',
  'restart',
  'askAgain',
  'settleOnDevice',
  'cancel',
] as const;

let report: ((what: string) => void) | undefined;
/** Tokens that were settled when a ledger was last looked at. */
let settledTokens = new WeakMap<Ledger, number[]>();

/**
 * Checks the invariants of every ledger in this process after each of its changes. The session makes its ledger itself
 * and shows it to nobody, so the watch stands at the class.
 */
export function watchLedgers(onBroken: (what: string) => void): void {
  if (!report) install();
  report = onBroken;
  settledTokens = new WeakMap();
}

function install(): void {
  const methods = Ledger.prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const name of CHANGES) {
    const original = methods[name];
    if (!original) throw new Error(`Ledger has no ${name} any more: watch what replaced it`);
    methods[name] = function (this: Ledger, ...args: unknown[]) {
      const result = original.apply(this, args);
      const broken = brokenRule(this, name === 'begin');
      if (broken) report?.(`after ledger.${name}: ${broken}`);
      return result;
    };
  }
}

function brokenRule(ledger: Ledger, isNew: boolean): string | undefined {
  const { acked, sent, cutLength, fed, length, settled, promptLength } = ledger;
  // With token ids as context nothing is fed to a device.
  const figures = fed === 0 ? [acked, sent, length] : [acked, sent, cutLength, fed, length];
  if (figures.some((figure, i) => i > 0 && figures[i - 1]! > figure)) {
    return `acked ≤ sent ≤ cut ≤ fed ≤ length does not hold: ${figures.join(' ')}`;
  }
  if (settled < promptLength || settled > length) return `settled ${settled} of ${length}, prompt ${promptLength}`;
  const before = isNew ? [] : (settledTokens.get(ledger) ?? []);
  if (settled < before.length) return `settled fell from ${before.length} to ${settled}`;
  const taken = before.findIndex((token, position) => ledger.tokenAt(position) !== token);
  if (taken >= 0) return `token ${taken} was settled and has changed`;
  for (let position = before.length; position < settled; position++) before.push(ledger.tokenAt(position)!);
  settledTokens.set(ledger, before);
  return undefined;
}
