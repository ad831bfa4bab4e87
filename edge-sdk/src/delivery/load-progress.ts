export interface LoadProgress {
  stage: 'manifest' | 'download' | 'tokenizer' | 'device-stages' | 'ready';
  /** Of the device's files. */
  loadedBytes: number;
  totalBytes: number;
  /** While something is fetched. */
  bytesPerS?: number;
}
