import { type FileEntry, type Format, type Manifest, TandemError } from '@tandem/shared';

/** Which files of a bundle a device needs: the tokenizer's and the stages before the cut, in one format. */
export function deviceFiles(manifest: Manifest, format: Format): FileEntry[] {
  const stages = manifest.stages.filter((stage) => stage.to <= manifest.cut);
  return [
    ...manifest.tokenizer,
    ...stages.flatMap(({ files, data }) => [files[format], data?.[format]].filter((entry) => entry !== undefined)),
  ];
}

export function bytesOnDevice(manifest: Manifest, format: Format): number {
  return deviceFiles(manifest, format).reduce((sum, { bytes }) => sum + bytes, 0);
}

/**
 * The format that was asked for, else the first of `preferred` that the bundle has.
 *
 * @throws TandemError INVALID_OPTION
 */
export function chooseFormat(manifest: Manifest, asked: Format | undefined, preferred: readonly Format[]): Format {
  const { formats } = manifest;
  const chosen = asked ?? preferred.find((format) => formats.includes(format)) ?? formats[0]!;
  if (formats.includes(chosen)) return chosen;
  const message = `EdgeModel.load: format ${chosen} is not in the bundle; it has ${formats.join(', ')}`;
  throw new TandemError('INVALID_OPTION', message);
}
