import { Ledger } from '@tandem/edge/testing';
import { HEADER_BYTES, limits, type Messages } from '@tandem/shared';
import { describe, expect, test } from 'vitest';
import { accepted, unverified } from '../support/ledger-entries.js';

const EXIT = { kind: 'exit', stage: 1, verified: false, degraded: false } as const;
const ROW_BYTES = 2;

function begin(prompt = [1, 2, 3]): Ledger {
  const ledger = new Ledger({ kind: 'rows', vocabularySize: 100, bytesPerRow: ROW_BYTES });
  ledger.begin(prompt);
  bringToCut(ledger);
  return ledger;
}

/** Runs the device's stages up to the last token; a row's bytes are its position. */
function bringToCut(ledger: Ledger): void {
  const { from, tokens } = ledger.feed(ledger.length);
  ledger.addRows(
    from,
    Uint8Array.from({ length: ROW_BYTES * tokens.length }, (_, i) => from + Math.floor(i / ROW_BYTES)),
  );
}

function draft(ledger: Ledger, ...tokens: number[]): void {
  for (const token of tokens) {
    bringToCut(ledger);
    ledger.append(unverified(token));
  }
}

function verdict(ledger: Ledger, rows: number[], tokens: number[]): Messages['verdict'] {
  const length = (rows.at(-1) ?? -1) + 1;
  return { epoch: ledger.epoch, rows, tokens, mismatch: false, length, engineMs: 0, queueMs: 0 };
}

const text = (ledger: Ledger) => Array.from({ length: ledger.length }, (_, position) => ledger.tokenAt(position));

describe('a ledger', () => {
  test('sends rows once, in order, with a want at each row whose next token is a draft', () => {
    const ledger = begin();
    expect(ledger.nextForward(false)).toMatchObject({ from: 0, count: 3, want: [], drafts: [] });
    expect(ledger.nextForward(false)).toBeUndefined();
    draft(ledger, 10, 11);
    expect(ledger.nextForward(false)).toMatchObject({ from: 3, count: 1, want: [3], drafts: [11] });
    bringToCut(ledger);
    const last = ledger.nextForward(true)!;
    expect(last).toMatchObject({ from: 4, want: [4], drafts: [] });
    expect([...last.payload]).toEqual([4, 4]);
  });

  test('keeps the origin of each token: confirmed drafts are verified, corrected ones the cloud’s', () => {
    const ledger = begin();
    draft(ledger, 10, 11, 12);
    ledger.nextForward(false);
    expect(ledger.applyVerdict(verdict(ledger, [2, 3], [10, 99]))).toMatchObject({
      kind: 'rolled-back',
      length: 4,
      dropped: 2,
    });
    expect(text(ledger)).toEqual([1, 2, 3, 10, 99]);
    expect(ledger.entryAt(3)).toMatchObject({ token: 10, state: 'settled', origin: { ...EXIT, verified: true } });
    expect(ledger.entryAt(4)).toMatchObject({ token: 99, state: 'settled', origin: { kind: 'cloud' } });
    expect([ledger.settled, ledger.sent, ledger.acked, ledger.fed]).toEqual([5, 4, 4, 4]);
  });

  test('settles an accepted token only when the drafts before it are', () => {
    const ledger = begin();
    draft(ledger, 10);
    bringToCut(ledger);
    ledger.append(accepted(11));
    expect([ledger.settled, ledger.entryAt(4)?.state]).toEqual([3, 'accepted']);
    ledger.nextForward(false);
    ledger.applyVerdict(verdict(ledger, [2], [10]));
    expect(ledger.settled).toBe(5);
  });

  test('drops an accepted token with the draft that it rests on', () => {
    const ledger = begin();
    draft(ledger, 10);
    bringToCut(ledger);
    ledger.append(accepted(11));
    ledger.nextForward(false);
    ledger.applyVerdict(verdict(ledger, [2], [98]));
    expect(text(ledger)).toEqual([1, 2, 3, 98]);
  });

  test('never takes back what is settled, whatever a server says', () => {
    const ledger = begin();
    ledger.append(accepted(10));
    ledger.nextForward(false);
    expect(ledger.settled).toBe(4);
    expect(ledger.applyVerdict(verdict(ledger, [2], [99]))).toMatchObject({ kind: 'confirmed' });
    expect(text(ledger)).toEqual([1, 2, 3, 10]);
  });

  test('refuses a verdict on rows that the server was not sent', () => {
    const ledger = begin();
    draft(ledger, 10);
    expect(() => ledger.applyVerdict(verdict(ledger, [2], [10]))).toThrow(/PROTOCOL_VIOLATION.*row 2.*sent 0/);
    ledger.nextForward(false);
    expect(ledger.applyVerdict(verdict(ledger, [2], [10]))).toMatchObject({ kind: 'confirmed', tokens: 1 });
  });

  test('degraded drafts are settled, marked, and out of reach of late verdicts', () => {
    const ledger = begin();
    draft(ledger, 10, 11);
    ledger.nextForward(false);
    const late = verdict(ledger, [2], [99]);
    expect(ledger.settleOnDevice()).toBe(2);
    expect(ledger.entryAt(3)?.origin).toEqual({ ...EXIT, degraded: true });
    expect(ledger.applyVerdict(late)).toEqual({ kind: 'ignored' });
    expect(ledger.settled).toBe(5);
    expect(ledger.settleOnDevice()).toBe(0);
  });

  test.each<[string, number[], number[]]>([
    ['a row in the prompt', [1], [5]],
    ['a row behind the text', [4], [5]],
    ['fewer tokens than rows', [2, 3], [10]],
  ])('refuses a verdict with %s', (_what, rows, tokens) => {
    const ledger = begin();
    draft(ledger, 10);
    expect(() => ledger.applyVerdict(verdict(ledger, rows, tokens))).toThrow(/PROTOCOL_VIOLATION: verdict on row/);
  });

  test('begin keeps what the prompt shares, but runs its last token again', () => {
    const ledger = begin([1, 2, 3, 4]);
    ledger.nextForward(false);
    ledger.acknowledge(ledger.epoch, 4);
    const { epoch } = ledger;
    expect(ledger.begin([1, 2, 3, 4])).toBe(3);
    expect([ledger.fed, ledger.cutLength, ledger.sent, ledger.acked]).toEqual([3, 3, 3, 3]);
    expect(ledger.epoch).toBe(epoch + 1);
    expect(ledger.begin([1, 9])).toBe(1);
    expect(text(ledger)).toEqual([1, 9]);
  });

  test('rows of a run that a verdict overtook are cut to what is still right', () => {
    const ledger = begin();
    draft(ledger, 10, 11);
    ledger.nextForward(false);
    const { from } = ledger.feed(5);
    ledger.applyVerdict(verdict(ledger, [2], [98]));
    ledger.addRows(from, new Uint8Array(ROW_BYTES * 1));
    expect([ledger.fed, ledger.cutLength]).toEqual([3, 3]);
  });

  test('rows of a run that was cancelled are cut to what is settled', () => {
    const ledger = new Ledger({ kind: 'rows', vocabularySize: 100, bytesPerRow: ROW_BYTES });
    ledger.begin([1, 2, 3]);
    ledger.append(accepted(10));
    ledger.append(unverified(11));
    const { from, tokens } = ledger.feed(5);
    ledger.cancel();
    ledger.addRows(from, new Uint8Array(ROW_BYTES * tokens.length));
    expect([ledger.length, ledger.fed, ledger.cutLength]).toEqual([4, 4, 4]);
  });

  test('a restart goes on from the acknowledged rows, or from less if the server has less', () => {
    const ledger = begin();
    ledger.nextForward(false);
    ledger.acknowledge(ledger.epoch, 2);
    const { epoch } = ledger;
    ledger.restart(3, ledger.epoch);
    expect([ledger.sent, ledger.acked, ledger.epoch]).toEqual([2, 2, epoch + 1]);
    ledger.restart(1, ledger.epoch);
    expect([ledger.sent, ledger.acked]).toEqual([1, 1]);
  });

  test('a restart counts on nothing where the rows are older than the last acknowledgement', () => {
    const ledger = begin();
    ledger.nextForward(false);
    ledger.acknowledge(ledger.epoch, 2);
    ledger.restart(3, ledger.epoch - 1);
    expect([ledger.sent, ledger.acked]).toEqual([0, 0]);
  });

  test('rows of a failed step are made anew, and sent anew', () => {
    const ledger = begin();
    ledger.nextForward(false);
    ledger.acknowledge(ledger.epoch, 2);
    ledger.unfeed(2);
    expect([ledger.sent, ledger.cutLength, ledger.fed]).toEqual([2, 2, 2]);
    ledger.addRows(ledger.feed(3).from, new Uint8Array(ROW_BYTES));
    expect(ledger.nextForward(false)).toMatchObject({ from: 2, count: 1 });
  });

  test('rows under way when the text is dropped count as not sent: the server never runs them', () => {
    const ledger = begin();
    ledger.nextForward(false);
    ledger.acknowledge(ledger.epoch, 1);
    ledger.cancel();
    expect(ledger.nextForward(false)).toMatchObject({ from: 1, count: 2 });
  });

  test('a rewind counts once: its epoch is over', () => {
    const ledger = begin();
    ledger.nextForward(false);
    const { epoch } = ledger;
    expect(ledger.rewind(epoch, 1)).toBe(true);
    expect(ledger.nextForward(false)).toMatchObject({ from: 1, epoch: epoch + 1 });
    expect(ledger.rewind(epoch, 1)).toBe(false);
    expect(ledger.sent).toBe(3);
  });

  test('a forward of the widest rows fits a frame', () => {
    for (const bytesPerRow of [2 * 4_096, 4 * 4_096, 4 * 65_536]) {
      const ledger = new Ledger({ kind: 'rows', vocabularySize: 100, bytesPerRow });
      ledger.begin(Array(limits.FORWARD_ROWS_MAX).fill(1));
      ledger.addRows(ledger.feed(40).from, new Uint8Array(40 * bytesPerRow));
      if (bytesPerRow <= 2 * 4_096) {
        ledger.addRows(ledger.feed(ledger.length).from, new Uint8Array((limits.FORWARD_ROWS_MAX - 40) * bytesPerRow));
      }
      const { payload, count } = ledger.nextForward(false)!;
      expect(count).toBeGreaterThan(0);
      expect(payload.length + limits.CONTROL_BYTES_MAX + HEADER_BYTES).toBeLessThanOrEqual(limits.FRAME_BYTES_MAX);
    }
  });
});

describe('a ledger of token ids', () => {
  test('sends ids as soon as they are there, and follows a server that extends', () => {
    const ledger = new Ledger({ kind: 'tokens', vocabularySize: 70_000 });
    ledger.begin([1, 69_999]);
    const forward = ledger.nextForward(true)!;
    expect(forward).toMatchObject({ from: 0, count: 2, want: [1] });
    expect([...new Uint32Array(forward.payload.slice().buffer)]).toEqual([1, 69_999]);
    for (const row of [1, 2, 3]) ledger.applyVerdict(verdict(ledger, [row], [50 + row]));
    expect([ledger.settled, ledger.sent, ledger.acked]).toEqual([5, 4, 4]);
    expect(ledger.nextForward(true)).toMatchObject({ from: 4, count: 1, want: [4] });
  });
});

describe('a prompt as token ids', () => {
  const long = Array.from({ length: 12 }, (_, i) => i + 1);

  test('goes up so from position 0 on, and the rest as rows', () => {
    const ledger = begin(long);
    draft(ledger, 30, 31);
    bringToCut(ledger);
    const first = ledger.nextForward(false, true)!;
    expect(first).toMatchObject({ from: 0, count: 12, asTokens: true, want: [11], drafts: [30] });
    expect([...first.payload]).toEqual(long.flatMap((token) => [token, 0]));
    const second = ledger.nextForward(false, true)!;
    expect(second).toMatchObject({ from: 12, count: 2, want: [12], drafts: [31] });
    expect(second.asTokens).toBeUndefined();
    expect(second.payload.length).toBe(2 * ROW_BYTES);
  });

  test('goes up the same way when it has to go up again, whatever pays by then', () => {
    const ledger = begin(long);
    ledger.nextForward(true, true);
    ledger.restart(0, 0);
    draft(ledger, 30);
    expect(ledger.nextForward(false, false)).toMatchObject({ from: 0, count: 12, asTokens: true });
    const rows = begin(long);
    rows.nextForward(true, false);
    rows.restart(0, 0);
    expect(rows.nextForward(true, false)?.asTokens).toBeUndefined();
  });

  test('goes on as rows behind what a server still holds', () => {
    const ledger = begin(long);
    ledger.nextForward(true, true);
    ledger.rewind(ledger.epoch, 5);
    expect(ledger.nextForward(true, true)).toMatchObject({ from: 5, count: 7 });
  });
});
