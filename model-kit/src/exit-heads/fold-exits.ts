import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileEntry, type Manifest, type ManifestStage, TandemError } from '@tandem/shared';
import { MANIFEST_FILE, openBundle } from '@tandem/shared/node';
import { replaceJson } from '../calibration/calibration-file.js';
import { type ExitMap, hasExitMap, withExitMap } from '../onnx/exit-map.js';
import { encodeSafetensors } from '../safetensors-writer.js';

/** Layers after which the bundle's device stages can stop, but without a map of their own: raw exits. */
export async function rawExits(directory: string): Promise<number[]> {
  const bundle = await openBundle(directory);
  const raw: number[] = [];
  for (const { head, to, files } of bundle.manifest.stages) {
    if (head !== 'exit') continue;
    const file = await bundle.readVerified(files[bundle.manifest.formats[0]!]!);
    if (!hasExitMap(file)) raw.push(to);
  }
  return raw;
}

/**
 * Puts maps into the heads of a bundle's exits, in every format, and drops its calibration, which was made for other heads.
 * New files come beside the old ones, then the manifest names them, then the old ones go: the bundle is whole at any moment.
 */
export async function foldExits(directory: string, maps: ReadonlyMap<number, ExitMap>): Promise<Manifest> {
  const bundle = await openBundle(directory);
  const stale: string[] = [];
  const stages: ManifestStage[] = [];
  for (const [index, stage] of bundle.manifest.stages.entries()) {
    const map = stage.head === 'exit' ? maps.get(stage.to) : undefined;
    if (!map) {
      stages.push(stage);
      continue;
    }
    const files: ManifestStage['files'] = {};
    for (const format of bundle.manifest.formats) {
      const before = stage.files[format]!;
      const content = withExitMap(await bundle.readVerified(before), map, format !== 'f32');
      files[format] = await writeHashed(directory, `stage-${index}.${format}`, content);
      if (files[format].file !== before.file) stale.push(before.file);
    }
    stages.push({ ...stage, files });
  }
  const { calibration: _, ...rest } = bundle.manifest;
  const manifest: Manifest = { ...rest, stages };
  await replaceJson(join(directory, MANIFEST_FILE), manifest);
  for (const file of stale) await rm(join(directory, file), { force: true });
  return manifest;
}

/** Maps as `exits.safetensors`, which `tandem prepare` takes from beside a checkpoint's weights. */
export async function writeExits(directory: string, maps: ReadonlyMap<number, ExitMap>): Promise<void> {
  const tensors = new Map<string, { shape: number[]; data: Float32Array }>();
  for (const [layer, { weight, bias }] of maps) {
    tensors.set(`exits.${layer}.weight`, { shape: [bias.length, bias.length], data: weight });
    tensors.set(`exits.${layer}.bias`, { shape: [bias.length], data: bias });
  }
  const path = join(directory, 'exits.safetensors');
  await writeFile(path, encodeSafetensors(tensors), { flag: 'wx' }).catch((cause: NodeJS.ErrnoException) => {
    const message = `${path} is there already; move it away to fit exits anew`;
    throw cause.code === 'EEXIST' ? new TandemError('INVALID_OPTION', message) : cause;
  });
}

/** A name that its content decides: a file that some process has open is never written over. */
async function writeHashed(directory: string, name: string, content: Uint8Array): Promise<FileEntry> {
  const sha256 = createHash('sha256').update(content).digest('hex');
  const file = `${name}.${sha256.slice(0, 8)}.onnx`;
  await writeFile(join(directory, file), content);
  return { file, bytes: content.length, sha256 };
}
