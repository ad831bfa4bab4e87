/** A bug that the simulation must find. `find` occurs exactly once in the built file. */
export interface PlantedBug {
  name: string;
  /** What a person would have forgotten. */
  what: string;
  file: string;
  find: string;
  replace: string;
}

/** Each is one guard of the production code left out, or one line put wrong. */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'stale-verdict',
    what: 'the device applies verdicts of an older epoch',
    file: 'edge-sdk/dist/ledger/ledger.js',
    find: 'if (verdict.epoch !== this.epoch)',
    replace: 'if (false)',
  },
  {
    name: 'draft-confirmed-unread',
    what: 'a draft that differs from the choice of the cloud is confirmed',
    file: 'edge-sdk/dist/ledger/ledger.js',
    find: 'entry.token !== token',
    replace: 'false',
  },
  {
    name: 'trust-server-length',
    what: 'after a reconnect the device counts on rows that were never acknowledged',
    file: 'edge-sdk/dist/ledger/cloud-copy.js',
    find: 'rowsEpoch < this.#ackedEpoch ? 0 : Math.min(this.acked, length)',
    replace: 'Math.min(this.sent, length)',
  },
  {
    name: 'rollback-keeps-rows',
    what: 'rows of a draft that was rolled back stay in the store',
    file: 'edge-sdk/dist/ledger/ledger.js',
    find: 'this.#rows.truncate(length);\n        this.#upstream',
    replace: 'this.#upstream',
  },
  {
    name: 'late-rows',
    what: 'rows are kept that rest on tokens taken back while the engine ran',
    file: 'edge-sdk/dist/ledger/ledger.js',
    find: 'if (from >= this.#fed || own.length === 0)',
    replace: 'if (own.length === 0)',
  },
  {
    name: 'stale-draft',
    what: 'a draft is appended although a verdict changed the ledger meanwhile',
    file: 'edge-sdk/dist/session/drafter.js',
    find: 'const isThere = () => ledger.lengthOf(line) === length && line.revision === revision;',
    replace: 'const isThere = () => true;',
  },
  {
    name: 'never-asks-again',
    what: 'a silent server is waited for without end',
    file: 'edge-sdk/dist/link/forwards-under-way.js',
    find: 'if (this.#forwards.length > 0)',
    replace: 'if (false)',
  },
  {
    name: 'server-keeps-rows',
    what: 'the engine appends without truncating to where the forward begins',
    file: 'shared/dist/engine/chain-engine.js',
    find: 'chain.truncate(request.from);',
    replace: '',
  },
  {
    name: 'batch-mixed-up',
    what: 'of several sessions that ran together each gets the rows of the first',
    file: 'shared/dist/stage/chain-group.js',
    find: 'const outcome = outcomes[i];',
    replace: 'const outcome = outcomes[0];',
  },
  {
    name: 'catch-up-dropped',
    what: 'rows that wait for a deeper device stage are dropped when more come',
    file: 'shared/dist/stage/stage-chain.js',
    find: 'this.#pending[index + 1] = join(this.#pending[index + 1], {',
    replace: 'this.#pending[index + 1] = join(undefined, {',
  },
  {
    name: 'session-leak',
    what: 'a session whose client does not come back is kept for ever',
    file: 'cloud-server/dist/sessions/session-table.js',
    find: 'entry.session.free();',
    replace: '',
  },
  {
    name: 'answer-to-nobody',
    what: 'a step that was cancelled is answered all the same',
    file: 'cloud-server/dist/sessions/cloud-session.js',
    find: 'if (isAwaited(forward))\n                    await this.#answer(forward, outcome.value);',
    replace: 'await this.#answer(forward, outcome.value);',
  },
  {
    name: 'damaged-up',
    what: 'a frame that was damaged on its way up ends the session',
    file: 'edge-sdk/dist/link/cloud-link.js',
    find: 'return this.#lost(error, retryAfterMs);',
    replace: 'return error.retryable ? this.#lost(error, retryAfterMs) : this.#fail(error);',
  },
  {
    name: 'credit-overrun',
    what: 'the device sends more forwards than it has credit for',
    file: 'edge-sdk/dist/link/cloud-peer.js',
    find: 'this.#underWay.count < this.#credit',
    replace: 'true',
  },
  {
    name: 'token-unread',
    what: 'a session is given to whoever brings any token',
    file: 'cloud-server/dist/sessions/session-table.js',
    find: '!known.resumeDigest || this.#tokens.isGood(resume, known.resumeDigest)',
    replace: 'true',
  },
  {
    name: 'rebuild-skipped',
    what: 'a context whose KV was given back goes on as if it were there',
    file: 'cloud-server/dist/context/kv-session.js',
    find: 'this.#ran = opened.value.length;',
    replace: 'this.#ran = Math.max(opened.value.length, this.#lost);',
  },
  {
    name: 'eviction-uncounted',
    what: 'a context that is gone still counts',
    file: 'cloud-server/dist/context/context-cache.js',
    find: 'removed(context) {\n        this.#uncount(context);',
    replace: 'removed(context) {',
  },
  {
    name: 'epoch-kept',
    what: 'a roll-back does not raise the epoch',
    file: 'edge-sdk/dist/ledger/ledger.js',
    find: 'this.#copy.raiseEpoch();\n        this.#advance();\n        const adopted',
    replace: 'this.#advance();\n        const adopted',
  },
  {
    name: 'continue-without-row',
    what: 'a text that goes on does not run its last row again, whose logits nobody kept',
    file: 'edge-sdk/dist/session/run-generation.js',
    find: 'ledger.unfeed(ledger.settled - 1)',
    replace: 'void 0',
  },
  {
    name: 'prefix-lost-unheard',
    what: 'the device goes on behind a prefix that the server said it has lost',
    file: 'edge-sdk/dist/link/cloud-peer.js',
    find: 'this.#options.prefix?.replaced(length);',
    replace: '',
  },
  {
    name: 'donor-truncated',
    what: 'rows that the donor has replaced are given away as what it had published',
    file: 'cloud-server/dist/context/session-context.js',
    find: 'this.#publishedRows = Math.min(this.#publishedRows, whole);',
    replace: '',
  },
  {
    name: 'prefix-claimed-unread',
    what: 'a text that begins otherwise is claimed to be the declared prefix',
    file: 'edge-sdk/dist/link/shared-prefix.js',
    find: 'rows < this.#tokens.length && ledger.tokenAt(rows) === this.#tokens[rows]',
    replace: 'rows < this.#tokens.length',
  },
  {
    name: 'prefix-replaced-unheard',
    what: 'the device counts on a prefix of the server that its own rows have replaced',
    file: 'edge-sdk/dist/link/cloud-peer.js',
    find: 'prefix?.replaced(control.from);',
    replace: '',
  },
  {
    name: 'passage-not-repeated',
    what: 'a passage whose message was lost is not told again: the next one comes in its place',
    file: 'cloud-server/dist/sessions/hand-off.js',
    find: 'if (known.length > 0)',
    replace: 'if (false)',
  },
  {
    name: 'passage-of-old-text',
    what: 'a passage goes on although the text before it was replaced',
    file: 'cloud-server/dist/sessions/hand-off.js',
    find: 'if (this.#open && ((isOtherText && changed < this.#open.start) || !this.#isToldTo(asked, this.#open)))',
    replace: 'if (false)',
  },
  {
    name: 'passage-row-uncounted',
    what: 'rows behind the prompt that nobody wants are not counted',
    file: 'cloud-server/dist/sessions/hand-off.js',
    find: 'if (scores.length === 0)',
    replace: 'if (true)',
  },
];
