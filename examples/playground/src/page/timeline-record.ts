import type { Origin, SessionEvent } from '@tandem/edge';
import { describeOrigin } from './story-view.js';

export interface ForwardSpan {
  sentMs: number;
  endMs: number | undefined;
  /** Of the server, at most the span itself. */
  engineMs: number;
  /** `overtaken`: it rested on a draft that a correction has replaced. */
  outcome: 'waiting' | 'confirmed' | 'mismatch' | 'overtaken' | 'lost';
}

/** What happened in a session and when, as the timeline draws it. Times are milliseconds since the story began. */
export class TimelineRecord {
  readonly drafts: { atMs: number; position: number; stage: number; isBranch: boolean }[] = [];
  readonly forwards: ForwardSpan[] = [];
  readonly settled: { atMs: number; position: number; origin: Origin }[] = [];
  readonly rollBacks: number[] = [];
  /** Steps of a server that goes on alone answer no forward of their own. */
  readonly steps: { endMs: number; engineMs: number }[] = [];

  add(event: SessionEvent, atMs: number): void {
    switch (event.kind) {
      case 'draft':
        this.drafts.push({ atMs, position: event.position, stage: event.stage, isBranch: event.isBranch });
        return;
      case 'forward':
        // One that asks for nothing is answered by a credit, which is no event.
        if (event.wants > 0) this.forwards.push({ sentMs: atMs, endMs: undefined, engineMs: 0, outcome: 'waiting' });
        return;
      case 'verdict':
        return this.#judged(event, atMs);
      case 'settled':
        this.settled.push({ atMs, position: event.position, origin: event.origin });
        return;
      case 'rolled-back':
        this.rollBacks.push(atMs);
        return this.#end(atMs, 'overtaken');
      case 'rewound':
        return this.#end(atMs, 'lost');
      case 'connection':
        if (event.state !== 'open') this.#end(atMs, 'lost');
        return;
      case 'degraded':
      case 'larger-model':
        return;
    }
  }

  /** In words, for those who do not see the drawing. */
  describe(): string {
    const of = (outcome: ForwardSpan['outcome']) => this.forwards.filter((span) => span.outcome === outcome).length;
    const rest = (['overtaken', 'lost'] as const).filter((outcome) => of(outcome) > 0);
    const lost = rest.map((outcome) => `, ${of(outcome)} ${outcome}`).join('');
    return (
      `${this.drafts.length} drafts on the device; ${this.forwards.length} forwards to the cloud, ` +
      `${of('confirmed')} confirmed, ${of('mismatch')} corrected (red)${lost}; ${this.rollBacks.length} roll-backs, the red lines.`
    );
  }

  /** From its last draft, if it had one, to the moment at which it was final. */
  spanOf(position: number): { fromMs: number; toMs: number; stage: number | undefined } | undefined {
    const settled = this.settled.find((entry) => entry.position === position);
    if (!settled) return undefined;
    const draft = this.drafts.findLast(
      (entry) => entry.position === position && !entry.isBranch && entry.atMs <= settled.atMs,
    );
    return { fromMs: draft?.atMs ?? settled.atMs, toMs: settled.atMs, stage: draft?.stage };
  }

  describeToken(position: number): string {
    const span = this.spanOf(position);
    const settled = this.settled.find((entry) => entry.position === position);
    if (!span || !settled) return this.describe();
    const { fromMs, toMs, stage } = span;
    const drafted = stage === undefined ? 'not drafted' : `drafted at exit ${stage} after ${Math.round(fromMs)} ms`;
    const waited = stage === undefined ? '' : `, ${Math.round(toMs - fromMs)} ms later`;
    return `This token: ${drafted}; ${describeOrigin(settled.origin)} after ${Math.round(toMs)} ms${waited}.`;
  }

  #judged({ engineMs, mismatch }: Extract<SessionEvent, { kind: 'verdict' }>, atMs: number): void {
    const span = this.forwards.find(({ outcome }) => outcome === 'waiting');
    if (!span) {
      this.steps.push({ endMs: atMs, engineMs });
      return;
    }
    span.endMs = atMs;
    span.engineMs = Math.min(engineMs, atMs - span.sentMs);
    span.outcome = mismatch ? 'mismatch' : 'confirmed';
  }

  /** Nobody answers what was under way. */
  #end(atMs: number, outcome: 'overtaken' | 'lost'): void {
    for (const span of this.forwards) {
      if (span.outcome !== 'waiting') continue;
      span.outcome = outcome;
      span.endMs = atMs;
    }
  }
}
