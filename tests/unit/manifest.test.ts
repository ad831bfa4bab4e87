import { type Manifest, parseManifest } from '@tandem/shared';
import { describe, expect, it } from 'vitest';

const SHA = 'a'.repeat(64);

function example(): Manifest {
  const files = { q8: { file: 'stage-0.q8.onnx', bytes: 10, sha256: SHA } };
  return {
    version: 1,
    name: 'example',
    architecture: 'llama',
    fingerprint: SHA,
    width: 8,
    layers: 4,
    heads: 4,
    kvHeads: 2,
    headDim: 2,
    feedForward: 16,
    vocabularySize: 32,
    contextLength: 64,
    ropeTheta: 10_000,
    normEpsilon: 1e-5,
    tiedHead: true,
    bosTokenId: null,
    eosTokenIds: [2],
    exits: [1],
    cut: 3,
    formats: ['q8'],
    stages: [
      { from: 0, to: 1, input: 'tokens', head: 'exit', files },
      { from: 1, to: 3, input: 'rows', head: 'none', files },
      { from: 3, to: 4, input: 'rows', head: 'model', files },
    ],
    tokenizer: [{ file: 'tokenizer.json', bytes: 3, sha256: SHA }],
  };
}

type Change = (manifest: Manifest) => void;

describe('manifest', () => {
  it('is accepted as written', () => {
    expect(parseManifest(JSON.parse(JSON.stringify(example())))).toEqual(example());
  });

  it.each<[string, Change]>([
    ['an unknown key', (m) => Object.assign(m, { extra: 1 })],
    ['an unknown key in a stage', (m) => Object.assign(m.stages[0]!, { extra: 1 })],
    ['another version', (m) => Object.assign(m, { version: 2 })],
    ['an architecture that is no name', (m) => Object.assign(m, { architecture: '../gpt2' })],
    ['a fingerprint that is no sha256', (m) => Object.assign(m, { fingerprint: 'A'.repeat(64) })],
    ['a file outside the folder', (m) => Object.assign(m.stages[0]!.files.q8!, { file: '../weights' })],
    ['a file with a path', (m) => Object.assign(m.stages[0]!.files.q8!, { file: '/etc/passwd' })],
    ['a hidden file', (m) => Object.assign(m.tokenizer[0]!, { file: '.tokenizer' })],
    ['a fractional width', (m) => Object.assign(m, { width: 7.5 })],
    ['no layers', (m) => Object.assign(m, { layers: 0 })],
    ['a thousand exits', (m) => Object.assign(m, { exits: Array.from({ length: 1000 }, () => 1) })],
    ['a name of a megabyte', (m) => Object.assign(m, { name: 'x'.repeat(1e6) })],
    ['an unknown format', (m) => Object.assign(m, { formats: ['q5'] })],
    [
      'a format without files',
      (m) => {
        m.formats = ['q8', 'f32'];
        for (const stage of m.stages) stage.files.f16 = stage.files.q8;
      },
    ],
    ['files of a format that is not listed', (m) => Object.assign(m.stages[0]!.files, { f32: m.stages[0]!.files.q8 })],
    ['heads that cannot share', (m) => Object.assign(m, { kvHeads: 3 })],
    ['an odd head dimension', (m) => Object.assign(m, { headDim: 3 })],
    [
      'a first stage that starts late',
      (m) => {
        m.stages.shift();
        m.stages[0]!.input = 'tokens';
        m.exits = [];
      },
    ],
    ['a gap between stages', (m) => Object.assign(m.stages[1]!, { from: 2 })],
    ['an empty stage', (m) => m.stages.splice(1, 0, { ...m.stages[1]!, from: 1, to: 1, head: 'exit' })],
    ['a first stage that reads rows', (m) => Object.assign(m.stages[0]!, { input: 'rows' })],
    ['a later stage that reads tokens', (m) => Object.assign(m.stages[1]!, { input: 'tokens' })],
    ['stages that end early', (m) => m.stages.pop()],
    ['a last stage without the head', (m) => Object.assign(m.stages[2]!, { head: 'none' })],
    ['an exit head that is not listed', (m) => Object.assign(m.stages[1]!, { head: 'exit' })],
    ['a cut within a stage', (m) => Object.assign(m, { cut: 2 })],
    ['a cut at the end', (m) => Object.assign(m, { cut: 4 })],
    [
      'an exit behind the cut',
      (m) => {
        Object.assign(m, { cut: 1, exits: [1, 3] });
        m.stages[1]!.head = 'exit';
      },
    ],
  ])('is refused with %s', (_, change) => {
    const manifest = example();
    change(manifest);
    expect(() => parseManifest(manifest)).toThrow(/^BUNDLE_CORRUPT: manifest.json: /);
  });

  it('is refused when it is no object', () => {
    for (const value of [null, [], 'manifest', 7]) expect(() => parseManifest(value)).toThrow(/^BUNDLE_CORRUPT/);
  });
});
