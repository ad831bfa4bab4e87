import { defineConfig } from 'vitest/config';
import { VULKAN_ENVIRONMENT } from './tests/support/vulkan.js';

// The processes of the test files inherit it.
Object.assign(process.env, VULKAN_ENVIRONMENT);

/** The tests of `npm test`: everything that is quick. The long ones have a configuration of their own. */
export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', 'tests/long/**', 'tests/gpu/**', 'tests/tidy.test.ts'],
    // Two cores: more workers only slow each other down.
    maxWorkers: 2,
    testTimeout: 60_000,
    // Real sockets, processes and pages on shared machines: a test that a moment's stall broke is told from one that is broken.
    retry: process.env.CI ? 2 : 0,
    hookTimeout: 120_000,
    globalSetup: ['tests/support/global-setup.ts'],
  },
});
