import { floatsToHalves, halvesToFloats } from '@tandem/shared';
import { createQuantised, quantiseLines } from '../quantise.js';

/** Types of published numbers that we read. */
export const ELEMENT_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
export type ElementType = keyof typeof ELEMENT_BYTES;

/** Whole lines of a published matrix, as they lie in the file. */
export interface PublishedLines {
  bytes: Uint8Array;
  type: ElementType;
  /** Added to every number. */
  offset: number;
}

export interface ConversionJob extends PublishedLines {
  target: 'f32' | 'f16' | 'q8' | 'q4';
  /** Numbers per line. */
  inputs: number;
}

export interface Converted {
  data: Uint8Array;
  /** Of the blocks, for the quantised targets; else empty. */
  scales: Float32Array;
  /** False where a weight is NaN or infinite. */
  isFinite: boolean;
}

/** Numbers that are converted at a time: few enough to stay in the processor's nearest cache from one step to the next. */
const RUN_NUMBERS = 4096;
let scratch = new Float32Array(RUN_NUMBERS);

/** From the published type to a bundle's. Lines do not depend on each other: pieces give the same bytes as the whole. */
export function convertLines(job: ConversionJob): Converted {
  const { inputs, type, offset } = job;
  const numbers = numbersOf(job.bytes, type);
  const lines = numbers.length / inputs;
  const runLines = Math.max(1, Math.floor(RUN_NUMBERS / inputs));
  if (scratch.length < runLines * inputs) scratch = new Float32Array(runLines * inputs);
  const target = createTarget(job.target, lines, inputs);
  // At 8 bits the scales tell it, and save a pass.
  const isChecked = job.target !== 'q8';
  let finite = true;
  for (let line = 0; line < lines; line += runLines) {
    const end = Math.min(lines, line + runLines);
    const floats = scratch.subarray(0, (end - line) * inputs);
    readFloats(numbers.subarray(line * inputs, end * inputs), type, floats);
    if (offset !== 0) for (let i = 0; i < floats.length; i++) floats[i] = floats[i]! + offset;
    if (isChecked) finite &&= areFinite(floats);
    target.write(floats, line);
  }
  return { data: target.data, scales: target.scales, isFinite: finite && target.scales.every(Number.isFinite) };
}

interface Target extends Pick<Converted, 'data' | 'scales'> {
  /** Whole lines, to be placed from line `line` on. */
  write(floats: Float32Array, line: number): void;
}

function createTarget(target: ConversionJob['target'], lines: number, inputs: number): Target {
  switch (target) {
    case 'f32': {
      const whole = new Float32Array(lines * inputs);
      const write = (floats: Float32Array, line: number) => whole.set(floats, line * inputs);
      return { data: bytesOf(whole), scales: new Float32Array(0), write };
    }
    case 'f16': {
      const whole = new Uint16Array(lines * inputs);
      const write = (floats: Float32Array, line: number) => floatsToHalves(floats, whole.subarray(line * inputs));
      return { data: bytesOf(whole), scales: new Float32Array(0), write };
    }
    case 'q8':
    case 'q4': {
      const whole = createQuantised(lines, inputs, target === 'q8' ? 8 : 4);
      const write = (floats: Float32Array, line: number) => quantiseLines(floats, inputs, whole, line);
      return { data: whole.data, scales: whole.scales, write };
    }
  }
}

/** Infinity and NaN are the numbers whose exponent has all its bits. */
function areFinite(floats: Float32Array): boolean {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  let largest = 0;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude > largest) largest = magnitude;
  }
  return largest < 0x7f800000;
}

/** `bytes` must begin at a multiple of its element size; f32 is not copied. */
export function toFloats(bytes: Uint8Array, type: ElementType): Float32Array {
  const numbers = numbersOf(bytes, type);
  if (numbers instanceof Float32Array) return numbers;
  const floats = new Float32Array(numbers.length);
  readFloats(numbers, type, floats);
  return floats;
}

function numbersOf(bytes: Uint8Array, type: ElementType): Float32Array | Uint16Array {
  const count = bytes.byteLength / ELEMENT_BYTES[type];
  return type === 'F32'
    ? new Float32Array(bytes.buffer, bytes.byteOffset, count)
    : new Uint16Array(bytes.buffer, bytes.byteOffset, count);
}

function readFloats(numbers: Float32Array | Uint16Array, type: ElementType, floats: Float32Array): void {
  switch (type) {
    case 'F32':
      floats.set(numbers);
      return;
    case 'F16':
      halvesToFloats(numbers as Uint16Array, floats);
      return;
    case 'BF16':
      bfloat16sToFloats(numbers as Uint16Array, floats);
  }
}

/** bf16 is the upper half of an f32. */
function bfloat16sToFloats(numbers: Uint16Array, floats: Float32Array): void {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  for (let i = 0; i < numbers.length; i++) bits[i] = numbers[i]! << 16;
}

function bytesOf(array: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
