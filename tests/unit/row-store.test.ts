import { RowStore } from '@tandem/edge/testing';
import { expect, test } from 'vitest';

const row = (value: number) => Uint8Array.of(value, value + 1, value + 2);

test('keeps rows in order, through growth, truncation and refilling', () => {
  const store = new RowStore(3);
  const expected: number[] = [];
  for (let value = 0; value < 200; value++) {
    store.append(row(value % 100));
    expected.push(...row(value % 100));
  }
  expect(store.length).toBe(200);
  expect([...store.copy(0, 200)]).toEqual(expected);
  store.truncate(70);
  store.truncate(90);
  expect(store.length).toBe(70);
  store.append(Uint8Array.of(...row(7), ...row(8)));
  expect([...store.copy(69, 72)]).toEqual([...row(69), ...row(7), ...row(8)]);
});

test('takes more rows at once than it has room for', () => {
  const store = new RowStore(2);
  const rows = Uint8Array.from({ length: 2_000 }, (_, i) => i % 251);
  store.append(rows);
  expect(store.copy(0, 1_000)).toEqual(rows);
});

test('hands out copies: a transport may keep them', () => {
  const store = new RowStore(3);
  store.append(row(1));
  const copy = store.copy(0, 1);
  copy.fill(0);
  expect([...store.copy(0, 1)]).toEqual([1, 2, 3]);
});

test('refuses parts of rows', () => {
  expect(() => new RowStore(3).append(new Uint8Array(4))).toThrow('whole rows');
});
