import { type CloudServer, startServer } from '@tandem/cloud';
import { forkEngine } from '@tandem/cloud/testing';
import { EdgeModel } from '@tandem/edge';
import { type SimulatedLink, simulateLink } from '@tandem/netsim';
import type { Profile } from '@tandem/shared';
import { type Connect, connectEngine, type Engine, systemClock } from '@tandem/shared';

/** Both sides of a real run have one thread, so that neither takes the other's core. */
const THREADS = 1;

/** A device and a server on this machine, and an engine of its own for speculation inside the cloud. */
export class RealPlace {
  readonly model: EdgeModel;
  readonly server: CloudServer;
  /** In a child process, as the server's is. */
  readonly speculating: { engine: Engine; pid: number };
  readonly #release: () => void;

  private constructor(model: EdgeModel, server: CloudServer, engine: Engine, pid: number, release: () => void) {
    this.model = model;
    this.server = server;
    this.speculating = { engine, pid };
    this.#release = release;
  }

  static async start(directory: string, format: 'f32' | 'q8'): Promise<RealPlace> {
    const server = await startServer({ model: directory, port: 0, format, logLevel: 'silent', threads: THREADS });
    const model = await EdgeModel.load(directory, { format, threads: THREADS });
    const child = forkEngine({ directory, format, threads: THREADS });
    const engine = await connectEngine(child.port).engine;
    return new RealPlace(model, server, engine, child.pid, () => child.release());
  }

  async close(): Promise<void> {
    await this.model.dispose();
    await this.server.close();
    await this.speculating.engine.dispose();
    this.#release();
  }
}

/** The profile's rates, so that both clocks run over the same link. */
export function realLink(connect: Connect, { link }: Profile, rttMs: number, seed: number): SimulatedLink {
  const { upBytesPerS, downBytesPerS } = link;
  return simulateLink(connect, { rttMs, upBytesPerS, downBytesPerS }, { clock: systemClock, seed });
}
