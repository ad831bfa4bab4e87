/**
 * The parts of Electron that this app uses, as `electron` declares them. Written out because Electron's own package fetches
 * 100 MB when it is installed: a repository that only shows how it is done need not.
 */
export interface Electron {
  app: ElectronApp;
  BrowserWindow: new (options: WindowOptions) => ElectronWindow;
  powerMonitor: { on(event: 'resume', listener: () => void): unknown };
  MessageChannelMain: new () => { port1: MainPort; port2: MainPort };
  utilityProcess: {
    fork(script: string, args: string[], options: { serviceName: string }): UtilityProcess;
  };
}

export interface ElectronApp {
  whenReady(): Promise<unknown>;
  on(event: 'window-all-closed' | 'before-quit', listener: () => void): unknown;
  quit(): void;
}

export interface WindowOptions {
  width: number;
  height: number;
  webPreferences: { preload: string; sandbox: boolean; contextIsolation: boolean };
}

export interface ElectronWindow {
  loadFile(path: string): Promise<unknown>;
  isDestroyed(): boolean;
  webContents: {
    on(event: 'did-finish-load', listener: () => void): unknown;
    postMessage(channel: string, message: unknown, ports: MainPort[]): void;
  };
}

export interface UtilityProcess {
  postMessage(message: unknown, ports: MainPort[]): void;
  once(event: 'exit', listener: (code: number) => void): unknown;
  kill(): boolean;
}

/** A port as the main process and utility processes see it. */
export interface MainPort {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (event: { data: unknown }) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  start(): void;
}

/** `process.parentPort` of a utility process. */
export interface ParentPort {
  on(event: 'message', listener: (event: { data: unknown; ports: MainPort[] }) => void): unknown;
}
