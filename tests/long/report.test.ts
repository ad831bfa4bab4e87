import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepareBundle, type SuitabilityReport } from '@tandem/model-kit';
import { FORMATS, ROW_CODEC_NAMES, rowCodec } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, inChromium, launchChromium } from '../support/chromium.js';
import { removeFolder, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';
import { runTandem } from '../support/run-tandem.js';
import { TALES } from '../support/tales.js';

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder('report');
});
afterAll(() => removeFolder(folder));

describe('tandem report models/tales', () => {
  let report: SuitabilityReport;
  let page: string;
  beforeAll(async () => {
    page = join(folder, 'report.html');
    const { code, stdout, stderr } = await runTandem('report', TALES, '--tokens', '1000', '--json', '--html', page);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    report = JSON.parse(stdout);
  });

  it('prints one line of this shape', () => {
    const keys = ['exits', 'settledPerRound', 'formats', 'codecs', 'breakEvenRttMs', 'verdict'];
    expect(Object.keys(report).slice(0, keys.length)).toEqual(keys);
    expect(report.exits.map(({ stage, layer }) => [stage, layer])).toEqual([
      [1, 2],
      [2, 4],
    ]);
    for (const { agreement, leaving } of report.exits) {
      expect(agreement).toBeGreaterThan(0.5);
      expect(agreement).toBeLessThan(1);
      expect(Object.keys(leaving)).toEqual(['0.001', '0.005', '0.01', '0.02', '0.05']);
    }
    expect(Object.keys(report.settledPerRound)).toEqual(['1', '2', '3', '4', '5', '6', '7', '8']);
    expect(report.formats.map(({ format }) => format)).toEqual(FORMATS);
    expect(report.codecs.map(({ codec }) => codec)).toEqual(ROW_CODEC_NAMES);
    expect(Object.keys(report.breakEvenRttMs)).toEqual(['exact', 'collaborative']);
    expect(report.verdict).toMatch(/^The exits of this model /);
    expect(report.text).toMatchObject({ name: 'told by the model, seed 2', texts: 20 });
  });

  it('gives figures that hang together', () => {
    const [first, last] = report.exits;
    expect(last!.agreement).toBeGreaterThan(first!.agreement);
    const settled = Object.values(report.settledPerRound);
    expect(settled).toEqual([...settled].sort((a, b) => a - b));
    expect(settled[0]).toBeCloseTo(1 + last!.agreement, 1);
    expect(report.formats[0]).toMatchObject({ agreement: 1 });
    for (const { format, agreement, perplexity } of report.formats) {
      expect(agreement, format).toBeGreaterThan(0.85);
      expect(perplexity / report.formats[0]!.perplexity, format).toBeGreaterThan(0.99);
    }
    expect(report.codecs[0]).toEqual({ codec: 'f32', bytesPerRow: 1024, agreement: 1 });
    for (const { codec, bytesPerRow, agreement } of report.codecs) {
      expect(bytesPerRow).toBe(rowCodec(codec).bytesPerRow(256));
      expect(agreement, codec).toBeGreaterThan(0.9);
    }
    // Thresholds of the bundle, on texts that they were not made from.
    for (const [epsilon, disagreement] of Object.entries(report.thresholds.disagreement))
      expect(disagreement, epsilon).toBeLessThan(2 * Number(epsilon) + 0.01);
    expect(report.thresholds.settled['0.05']).toBeGreaterThan(0.5);
  });

  it.skipIf(!CHROMIUM)(inChromium('draws every plot in a page that needs nothing else'), async () => {
    const browser = await launchChromium();
    try {
      const tab = await browser.newPage();
      const complaints: string[] = [];
      tab.on('console', (message) => complaints.push(message.text()));
      tab.on('pageerror', (error) => complaints.push(error.message));
      tab.on('request', (request) => {
        if (!/^(file|data):/.test(request.url())) complaints.push(`asks for ${request.url()}`);
      });
      await tab.goto(pathToFileURL(page).href);
      const plots = await tab.$$eval('figure', (figures) =>
        figures.map(({ id, firstElementChild: svg }) => ({
          id,
          width: svg!.getBoundingClientRect().width,
          // Marks with a size: a plot without data has none beside its axes.
          drawn: [...svg!.querySelectorAll<SVGGraphicsElement>('[aria-label] rect, [aria-label] circle')].filter(
            (mark) => mark.getBBox().width > 0,
          ).length,
        })),
      );
      expect(plots.map(({ id }) => id)).toEqual(
        ['agreement', 'leaving', 'drafts', 'formats', 'codecs', 'prediction'].map((name) => `plot-${name}`),
      );
      expect(plots.map(({ drawn }) => drawn)).toEqual([2, expect.any(Number), 16, 4, 7, 40]);
      for (const { id, width, drawn } of plots) {
        expect(width, id).toBeGreaterThan(300);
        expect(drawn, id).toBeGreaterThan(0);
      }
      expect(await tab.textContent('.verdict')).toBe(report.verdict);
      expect(complaints).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});

describe('tandem report', () => {
  const text = () => join(folder, 'text.txt');
  beforeAll(async () => {
    const texts = Array.from({ length: 60 }, (_, i) =>
      Array.from({ length: 9 }, (_, k) => `w${(i * i + k * 7 * i + k) % 61}`).join(' '),
    );
    await writeFile(text(), texts.join('<|endoftext|>'));
  });

  it('takes a checkpoint without exits, and looks at those that could be', async () => {
    const checkpoint = await writeRandomCheckpoint();
    const { code, stdout } = await runTandem(
      'report',
      checkpoint,
      '--text',
      text(),
      '--tokens',
      '500',
      '--format',
      'f32',
      '--json',
    );
    await removeFolder(checkpoint);
    expect(code).toBe(0);
    const { exits, formats, verdict, thresholds }: SuitabilityReport = JSON.parse(stdout);
    expect(exits.map(({ layer }) => layer)).toEqual([1]);
    expect(formats.map(({ format }) => format)).toEqual(['f32']);
    expect(verdict).toMatch(/^The exits of this model /);
    expect(thresholds.source).toMatch(/^calibrated on every second text, reported on the others/);
  });

  it('takes a bundle without calibration, f32 or exits, and a text of the user’s', async () => {
    const checkpoint = await writeRandomCheckpoint();
    const bundle = join(folder, 'plain');
    await prepareBundle({ checkpoint, out: bundle, exits: [], cut: 2, formats: ['q8'], name: '<b>plain</b>' });
    await removeFolder(checkpoint);
    const page = join(folder, 'plain.html');
    const { code, stdout, stderr } = await runTandem(
      'report',
      bundle,
      '--text',
      text(),
      '--tokens',
      '500',
      '--html',
      page,
    );
    expect(stderr.trim().split('\n')).toEqual(['exits 51/51', 'codecs 357/357', 'formats 51/51']);
    expect(code).toBe(0);
    expect(stdout).toContain('This bundle has no exits, so the device cannot draft');
    expect(stdout).toContain('(text.txt)');
    expect(stdout).toContain('Weight formats: the whole model against q8');
    const html = await readFile(page, 'utf8');
    expect(html).not.toContain('<b>plain');
    expect(html.match(/<figure/g)).toHaveLength(3);
  });

  it.each([
    [['/nowhere'], 'CHECKPOINT_INVALID: no config.json in /nowhere'],
    [[TALES, '--tokens', '20'], 'INVALID_OPTION: 20 tokens to measure on; give at least 500'],
    [[TALES, '--tokens', 'many'], 'INVALID_OPTION: NaN tokens to measure on'],
    [[TALES, '--text', '/nowhere.txt'], 'INVALID_OPTION: --text /nowhere.txt cannot be read; name a text file'],
    [[TALES, '--text', '/dev/null'], 'INVALID_OPTION: --text /dev/null holds no text'],
    [[TALES, '--server-speed', '0'], 'INVALID_OPTION: --server-speed 0; give a number above 0'],
    [[TALES, '--html', '/nowhere/report.html'], 'INVALID_OPTION: --html /nowhere/report.html cannot be written'],
    [[TALES, '--profile', 'toaster'], "error: option '--profile <name>' argument 'toaster' is invalid"],
  ])('answers %j in a line or two, without a stack', async (args, message) => {
    const { code, stderr, stdout } = await runTandem('report', ...args);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  });
});
