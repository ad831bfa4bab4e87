import { defineConfig } from 'vitest/config';
import { VULKAN_ENVIRONMENT } from './tests/support/vulkan.js';

// The processes of the test files inherit it.
Object.assign(process.env, VULKAN_ENVIRONMENT);

/** The tests of `npm run test:long`: minutes, run by CI. */
export default defineConfig({
  test: {
    include: ['tests/long/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    maxWorkers: 1,
    testTimeout: 1_200_000,
    hookTimeout: 120_000,
    globalSetup: ['tests/support/global-setup.ts'],
  },
});
