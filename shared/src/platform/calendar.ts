/** Seconds since 1970, for answers that must carry a date; nothing is computed from it. */
export function unixSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}

/** Milliseconds since 1970, for the points of a curve. */
export function unixMilliseconds(): number {
  return Date.now();
}
