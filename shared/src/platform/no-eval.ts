import * as z from 'zod';

/**
 * Pages with a strict Content-Security-Policy forbid `eval`. zod asks whether it may compile schemas by trying, and the
 * browser reports each try as a violation: in browsers it does not ask. Files that make schemas import this one first.
 *
 * zod keeps one configuration per page, so an app's own schemas, if it shares this copy of zod, are interpreted too.
 */
if ('location' in globalThis) z.config({ jitless: true });
