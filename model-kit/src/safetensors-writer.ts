/** Tensors as a safetensors file in f32: `u64 header length (little endian) | JSON header | data`. */
export function encodeSafetensors(tensors: ReadonlyMap<string, { shape: number[]; data: Float32Array }>): Uint8Array {
  const header: Record<string, unknown> = {};
  let bytes = 0;
  for (const [name, { shape, data }] of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [bytes, bytes + data.byteLength] };
    bytes += data.byteLength;
  }
  // Spaces behind the header keep the data on an 8-byte boundary.
  const json = JSON.stringify(header);
  const head = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  const data = [...tensors.values()].map((tensor) =>
    Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength),
  );
  return Buffer.concat([length, head, ...data]);
}
