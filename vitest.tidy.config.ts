import { defineConfig } from 'vitest/config';

/** The part of `npm run check` that reads the source: arrows, doors, caps and bans. */
export default defineConfig({ test: { include: ['tests/tidy.test.ts'] } });
