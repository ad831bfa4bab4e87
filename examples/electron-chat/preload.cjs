// The page gets its port, and nothing else of Electron. (Ports do not pass the context bridge; a window message does.)
const { ipcRenderer } = require('electron');

ipcRenderer.on('tandem-port', (event) => window.postMessage('tandem-port', '*', event.ports));
