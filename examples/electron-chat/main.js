// All that needs Electron itself. The rest is in src/, and the tests run it without Electron.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { app, BrowserWindow, MessageChannelMain, powerMonitor, utilityProcess } from 'electron';
import { startApp } from './dist/app.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

startApp(
  { app, BrowserWindow, MessageChannelMain, powerMonitor, utilityProcess },
  {
    page: here('./dist/web/index.html'),
    preload: here('./preload.cjs'),
    // Native modules, threads and their files live outside of the archive.
    host: here('./dist/host.js').replace('app.asar', 'app.asar.unpacked'),
    model: app.isPackaged ? join(process.resourcesPath, 'model') : here('./model'),
    cloud: process.env.TANDEM_CLOUD ?? 'ws://localhost:8787',
  },
);
