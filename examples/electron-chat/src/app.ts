import type { Electron, UtilityProcess } from './electron-parts.js';

export interface AppPaths {
  page: string;
  preload: string;
  /** Script of the utility process. */
  host: string;
  /** Folder of the bundle; outside of the archive, because native code reads it. */
  model: string;
  cloud: string;
}

/** A process that ends again and again has a reason that starting it once more does not cure. */
const RESTARTS_MAX = 3;

/**
 * The main process: one window, and one utility process with the model in it. A crash in native code ends that process and
 * nothing else; a new one takes over. Both talk through a port of their own, the main process hears nothing of it.
 */
export function startApp(electron: Electron, paths: AppPaths): void {
  const { app, BrowserWindow, MessageChannelMain, powerMonitor, utilityProcess } = electron;
  let host: UtilityProcess | undefined;
  let restarts = 0;
  let isQuitting = false;

  app.on('before-quit', () => {
    isQuitting = true;
    host?.kill();
  });
  app.on('window-all-closed', () => app.quit());

  void app.whenReady().then(() => {
    const window = new BrowserWindow({
      width: 760,
      height: 820,
      webPreferences: { preload: paths.preload, sandbox: true, contextIsolation: true },
    });
    const startHost = () => {
      host = utilityProcess.fork(paths.host, [paths.model, paths.cloud], { serviceName: 'tandem' });
      host.once('exit', () => {
        if (isQuitting || window.isDestroyed() || restarts++ >= RESTARTS_MAX) return;
        startHost();
        connect();
      });
    };
    const connect = () => {
      const { port1, port2 } = new MessageChannelMain();
      host?.postMessage('tandem-port', [port1]);
      window.webContents.postMessage('tandem-port', null, [port2]);
    };
    startHost();
    // A computer that slept has dead connections that look open.
    powerMonitor.on('resume', () => host?.postMessage('resumed', []));
    // Also after a reload of the page: a new page needs a new port.
    window.webContents.on('did-finish-load', connect);
    void window.loadFile(paths.page);
  });
}
