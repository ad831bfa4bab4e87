import { en } from 'zod/locales';
import * as z from 'zod/mini';

/**
 * What a page loads checks its input with zod/mini, which tree-shakes: the whole of zod would be a third of the page. It has
 * functions in place of methods, so the kinds of values that our schemas are made of have their names here.
 *
 * Pages with a strict Content-Security-Policy forbid `eval`. zod asks whether it may compile schemas by trying, and the
 * browser reports each try as a violation: in browsers it does not ask. zod keeps one configuration per page, so an app's
 * own schemas, if it shares this copy of zod, are interpreted too.
 */
z.config({ ...en(), ...('location' in globalThis ? { jitless: true } : {}) });

/** Both ends belong to it. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER) {
  return z.int().check(z.gte(min), z.lte(max));
}

/** Both ends belong to it. */
export function number(min: number, max = Number.POSITIVE_INFINITY) {
  return z.number().check(z.gte(min), z.lte(max));
}

/** Its length in UTF-16 units. */
export function text(maxLength: number, minLength = 0) {
  return z.string().check(...lengths(minLength, maxLength));
}

export function list<Item extends z.core.SomeType>(item: Item, maxLength: number, minLength = 0) {
  return z.array(item).check(...lengths(minLength, maxLength));
}

export function matching(pattern: RegExp, maxLength = 128) {
  return z.string().check(z.maxLength(maxLength), z.regex(pattern));
}

/** Every frame is checked: nobody is asked whether a length is at least 0. */
function lengths(min: number, max: number) {
  return min > 0 ? [z.minLength(min), z.maxLength(max)] : [z.maxLength(max)];
}
