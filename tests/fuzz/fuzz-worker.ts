import { parentPort, workerData } from 'node:worker_threads';
import { type FuzzRange, runRange } from './run-range.js';

parentPort?.postMessage(runRange(workerData as FuzzRange));
