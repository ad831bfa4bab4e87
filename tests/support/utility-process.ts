/**
 * Loaded before a script (`node --import`): a child process looks to it like Electron's utility process, with
 * `process.parentPort`, whose messages come as events.
 */
Object.assign(process, {
  parentPort: {
    on: (_name: 'message', listener: (event: { data: unknown; ports: unknown[] }) => void) =>
      process.on('message', (data) => listener({ data, ports: [] })),
    postMessage: (message: unknown) => process.send!(message),
  },
});
