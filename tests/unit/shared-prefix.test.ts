import { SharedPrefix } from '@tandem/edge/testing';
import { PREFIX_BLOCK_TOKENS } from '@tandem/shared';
import { describe, expect, it } from 'vitest';
import { ASK, buildPeer, draft } from '../support/peer-bench.js';

const BLOCK = PREFIX_BLOCK_TOKENS;
const PROMPT = Array.from({ length: BLOCK + 2 }, (_, index) => index % 50);

/** A peer whose server has the first block of its prompt from another session. */
async function buildShared() {
  const built = await buildPeer(PROMPT, 2, 'rows', new SharedPrefix(['h'.repeat(22)], PROMPT));
  built.server.last.lose();
  await built.clock.advance(1);
  built.server.last.accept(BLOCK, 2, { epoch: 0, prefix: BLOCK });
  draft(built.ledger, 10);
  const forwards = () => built.server.last.sentOf('context-forward');
  return { ...built, forwards };
}

describe('a prefix that the server has from another session', () => {
  it('does not go up', async () => {
    const { peer, forwards } = await buildShared();
    peer.flush(ASK);
    expect(forwards()).toMatchObject([{ from: BLOCK, count: 2 }]);
  });

  it('goes up after all when the server has lost it meanwhile, and is asked for once', async () => {
    const { peer, server, ledger, forwards } = await buildShared();
    peer.flush(ASK);
    server.last.reply('context-rewind', { epoch: ledger.epoch, length: 0 });
    peer.flush(ASK);
    expect(forwards().slice(1)).toMatchObject([{ from: 0, count: BLOCK + 2, prefix: 1 }]);
  });
});
