/** Held by tabs while they connect to the shared worker, and by the worker while it ends: nobody connects to one that is going. */
export const SHARED_WORKER_LOCK = 'tandem shared worker';
