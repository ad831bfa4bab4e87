import { defineConfig } from 'vite';

/** Only the page: it knows neither the SDK nor a network, so it needs no settings but relative paths for `file://`. */
export default defineConfig({ base: './', build: { target: 'es2022', outDir: 'dist/web' } });
