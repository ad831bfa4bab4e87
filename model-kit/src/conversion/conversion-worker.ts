/** A thread of the conversion pool: a job comes in, its result goes back, no byte is copied on the way. */
import { parentPort } from 'node:worker_threads';
import { type ConversionJob, convertLines } from './convert-lines.js';

parentPort!.on('message', (job: ConversionJob) => {
  const result = convertLines(job);
  const buffers = [result.data.buffer, result.scales.buffer] as ArrayBuffer[];
  parentPort!.postMessage(result, buffers);
});
