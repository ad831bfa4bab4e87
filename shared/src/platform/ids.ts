const ID_BYTES = 16;

/** 128 random bits in hex. Not `crypto.randomUUID`: browsers have that on https pages only. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
