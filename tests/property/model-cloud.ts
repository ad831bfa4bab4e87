import type { Messages } from '@tandem/shared';
import { choiceOf, isHandedOver, passageOf, statesOf, unpackRows } from './hash-model.js';

export type Upward = Omit<Messages['context-forward'], 'sampling' | 'extend' | 'tokens'> & { payload: Uint8Array };
export type Downward =
  | ({ kind: 'verdict' } & Pick<
      Messages['verdict'],
      'epoch' | 'rows' | 'tokens' | 'mismatch' | 'length' | 'handedOver'
    >)
  | ({ kind: 'context-rewind' } & Messages['context-rewind'])
  | ({ kind: 'credit' } & Messages['credit'])
  | ({ kind: 'passage' } & Messages['passage']);

/** Rules that a control experiment leaves out. */
export type CloudPlant = 'no-truncate' | 'no-epoch-check';

/** The server of docs/PROTOCOL.md and nothing more: a list of rows, a queue, an epoch. */
export class ModelCloud {
  rows: number[] = [];
  queue: Upward[] = [];
  /** Of the forward that last changed the rows. */
  rowsEpoch = 0;
  #epoch = 0;
  /** After a mismatch the rest of the epoch rests on a token that is not there. */
  #ignoring = false;
  readonly #plant: CloudPlant | undefined;
  readonly #hasLargerModel: boolean;

  constructor(plant?: CloudPlant, hasLargerModel = false) {
    this.#plant = plant;
    this.#hasLargerModel = hasLargerModel;
  }

  /** A newer epoch takes the place of what is queued: no row of that will ever be here. */
  arrive(forward: Upward): void {
    if (this.#plant !== 'no-epoch-check') {
      if (forward.epoch < this.#epoch) return;
      if (forward.epoch > this.#epoch) this.queue = [];
    }
    if (forward.epoch > this.#epoch) {
      this.#epoch = forward.epoch;
      this.#ignoring = false;
    }
    this.queue.push(forward);
  }

  /** Runs the oldest forward; one answer at most, which may come in two parts. */
  step(): Downward[] {
    const forward = this.queue.shift();
    if (!forward || (this.#ignoring && this.#plant !== 'no-epoch-check')) return [];
    const { epoch } = forward;
    if (forward.from > this.rows.length) return [{ kind: 'context-rewind', epoch, length: this.rows.length }];
    if (this.#plant !== 'no-truncate') this.rows.length = forward.from;
    this.rows.push(...unpackRows(forward.payload));
    this.rowsEpoch = epoch;
    if (forward.want.length === 0) return [{ kind: 'credit', epoch, length: this.rows.length }];
    return this.#judge(forward);
  }

  #judge({ epoch, want, drafts }: Upward): Downward[] {
    const states = statesOf(this.rows);
    const tokens: number[] = [];
    const first: Downward[] = [];
    let told = 0;
    let mismatch = false;
    for (const [index, row] of want.entries()) {
      const state = states[row]!;
      if (this.#hasLargerModel && first.length === 0 && isHandedOver(state)) {
        const part = { epoch, rows: want.slice(0, index), tokens: tokens.slice(), mismatch: false, length: row };
        first.push({ kind: 'verdict', ...part, handedOver: true });
        told = index;
        // Every third time the endpoint is gone, and the small model's own choices follow.
        if (epoch % 3 > 0) return [...first, this.#write(epoch, row, state)];
      }
      tokens.push(choiceOf(states[row]!));
      mismatch = drafts[index] !== undefined && drafts[index] !== tokens[index];
      if (!mismatch) continue;
      this.rows.length = row + 1;
      this.#ignoring = true;
      break;
    }
    const rest = { rows: want.slice(told, tokens.length), tokens: tokens.slice(told) };
    return [...first, { kind: 'verdict', epoch, ...rest, mismatch, length: this.rows.length }];
  }

  #write(epoch: number, row: number, state: number): Downward {
    this.rows.length = row + 1;
    this.#ignoring = true;
    return { kind: 'passage', epoch, row, tokens: passageOf(state), model: 'larger' };
  }
}
