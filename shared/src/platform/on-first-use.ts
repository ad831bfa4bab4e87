/** A function that loads something by number: each only once, on first use, also when several ask at the same time. */
export function onFirstUse<Value>(load: (index: number) => Promise<Value>): (index: number) => Promise<Value> {
  const loads = new Map<number, Promise<Value>>();
  return (index) => {
    const known = loads.get(index);
    if (known) return known;
    const loading = load(index);
    loads.set(index, loading);
    return loading;
  };
}
