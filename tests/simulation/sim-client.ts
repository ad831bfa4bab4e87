import type { GeneratedToken, Generation } from '@tandem/edge';
import {
  Acceptance,
  PrefixCache,
  parseOptions,
  Session,
  SharedPrefix,
  sessionOptionsSchema,
} from '@tandem/edge/testing';
import { type Direction, type SimulatedLink, simulateLink } from '@tandem/netsim';
import { type Connect, connectEngine, isTandemError, seededRandom } from '@tandem/shared';
import { fixedPassages } from './hand-off-oracle.js';
import { DEVICE_STAGES, EOS } from './hash-chain.js';
import { manifestOf, TOKENIZER } from './hash-manifest.js';
import { NapClock } from './nap-clock.js';
import { type Expectation, firstWrong, isWhole } from './oracle.js';
import { PassageLoss } from './passage-loss.js';
import type { ClientPlan, Turn } from './scenario.js';
import { SimEngineProcess } from './sim-engine-process.js';
import { StaleOpener } from './stale-opener.js';
import type { World } from './world.js';

/** One device with its app: the production session on a virtual link, telling stories one after the other. */
export class SimClient {
  readonly clock: NapClock;
  readonly link: SimulatedLink;
  readonly passageLoss = new PassageLoss();
  /** Number of the server that the load balancer has chosen. */
  server = 0;
  isDone = false;
  readonly #number: number;
  readonly #plan: ClientPlan;
  readonly #world: World;
  readonly #sessionId: string;
  readonly #device: SimEngineProcess;
  readonly #opener: StaleOpener;
  #session: Session | undefined;
  #deviceFailures = 0;
  #isDisposed = false;
  #offlineUntilMs = 0;

  constructor(number: number, plan: ClientPlan, world: World) {
    const { seed, accuracy } = world.scenario;
    this.#number = number;
    this.#plan = plan;
    this.#world = world;
    this.clock = new NapClock(world.clock);
    this.#opener = new StaleOpener((what) => this.#fail(what));
    this.#sessionId = `session-of-client-${plan.tabOf ?? number}`;
    this.#device = new SimEngineProcess(number, accuracy, { startMs: 0, stepMs: plan.stepMs }, this.clock);
    const visitor = { sessionId: this.#sessionId, owner: 'owner' };
    this.link = simulateLink((handlers) => world.servers[this.server]!.connect(visitor)(handlers), plan.link, {
      clock: world.clock,
      seed: seed + number,
    });
  }

  /** From the first prompt to the last. Never rejects: what goes wrong is reported to the world. */
  async live(): Promise<void> {
    await this.clock.sleep(this.#plan.startMs);
    await this.#open();
    let text: number[] = [];
    for (const turn of this.#plan.turns) {
      await this.clock.sleep(turn.pauseMs);
      const prompt = this.#promptOf(turn, text);
      const told = await this.#tell(turn, prompt);
      if (told === 'over') break;
      text = [...prompt, ...told];
    }
    await this.#session?.dispose();
    this.isDone = true;
  }

  /** What goes on, if it may; else a new text. */
  #promptOf(turn: Turn, text: readonly number[]): number[] {
    const shared = this.#plan.prefix?.tokens.slice(0, turn.prefixTokens) ?? [];
    const began = turn.goesOn && text.length > 0 ? text : shared;
    const fits = (prompt: readonly number[]) => prompt.length < this.#plan.options.capacity && !prompt.includes(EOS);
    return [began, shared].map((beginning) => [...beginning, ...turn.prompt]).find(fits) ?? turn.prompt;
  }

  cutAtFrame(direction: Direction, frames: number): void {
    if (this.#isOffline) return;
    this.link.setProfile({ ...this.#plan.link, cuts: [{ afterFrames: frames, direction }] });
  }

  goOffline(durationMs: number): void {
    const { clock } = this.#world;
    this.#offlineUntilMs = Math.max(this.#offlineUntilMs, clock.now() + durationMs);
    this.link.setProfile({ ...this.#plan.link, offline: true });
    clock.schedule(durationMs, () => {
      if (!this.#isOffline) this.link.setProfile(this.#plan.link);
    });
  }

  /** With the next connection, which is made now. Of two servers, one may hold an older token for the newest. */
  forgetToken(): void {
    if (this.#world.servers.length === 1) this.#opener.forget();
    this.link.cut();
  }

  failDeviceStep(): void {
    this.#deviceFailures++;
    this.#device.engine.mishap.failures++;
  }

  get #isOffline(): boolean {
    return this.#world.clock.now() < this.#offlineUntilMs;
  }

  async #open(): Promise<void> {
    const engine = await connectEngine(this.#device.port).engine;
    const { options, unavailableAfterMs } = this.#plan;
    const { capacity, codec = 'f16' } = options;
    const deviceStages = { firstStage: 0, endStage: DEVICE_STAGES };
    if (options.mode !== 'cloud-only')
      await engine.open({ session: this.#sessionId, ...deviceStages, capacity, codec });
    const cloud = { url: 'ws://simulated', unavailableAfterMs, wrapTransport: () => this.#connect };
    const { prefix } = this.#plan;
    const isPrimed = prefix?.isPrimed && options.mode !== 'cloud-only' && prefix.tokens.length < capacity;
    this.#session = new Session(
      {
        manifest: manifestOf(this.#world.scenario.server.hasEos),
        engine,
        tokenizer: TOKENIZER,
        sessionId: this.#sessionId,
        clock: this.clock,
        random: seededRandom(this.#world.scenario.seed ^ (this.#number + 1)),
        acceptance: new Acceptance(),
        prefix: prefix && new SharedPrefix(this.#world.blocksOf(prefix), prefix.tokens),
        prefilled: isPrimed ? await new PrefixCache(engine).prime(this.#sessionId, prefix.tokens, codec) : undefined,
        onDisposed: () => {},
      },
      parseOptions(sessionOptionsSchema, 'createSession', { ...options, cloud }),
    );
  }

  /** The device's end of the link: it hears nothing while it sleeps. */
  readonly #connect: Connect = (handlers) => {
    const transport = this.link.connect({
      opened: () => this.clock.run(() => handlers.opened()),
      received: (frame) =>
        this.clock.run(() => {
          this.#trace('◀', frame);
          if (this.passageLoss.takes(frame)) return this.link.cut();
          this.#opener.received(frame);
          handlers.received(frame);
        }),
      closed: (reason) => this.clock.run(() => handlers.closed(reason)),
    });
    return {
      get bufferedBytes() {
        return transport.bufferedBytes;
      },
      send: (frame) => {
        const sent = this.#opener.sent(frame);
        this.#trace('▶', sent);
        transport.send(sent);
      },
      close: (code, text) => transport.close(code, text),
    };
  };

  /** One generation, as an app has it. Returns the tokens, or `over` if there can be no other. */
  async #tell(turn: Turn, prompt: number[]): Promise<number[] | 'over'> {
    const session = this.#session!;
    const { hasEos } = this.#world.scenario.server;
    const expected = { plan: this.#plan, turn, prompt, accuracy: this.#world.scenario.accuracy, hasEos };
    const stop = new AbortController();
    const cancelEnd = this.#planEnd(turn, stop);
    const generation = session.generate(TOKENIZER.decode(prompt), {
      maxOutputTokens: turn.maxOutputTokens,
      temperature: turn.temperature,
      seed: turn.seed,
      emit: turn.emit,
      signal: stop.signal,
    });
    const first = await this.#follow(generation, turn, expected);
    cancelEnd();
    const error: unknown = await generation.then(undefined, (cause: unknown) => cause);
    const isCut = first.outcome === 'told' && isTandemError(error) && error.code === 'ABORTED';
    // Every other app thinks better of it: what was cut off goes on.
    const goesOn = isCut && turn.seed % 2 === 0 && session.continue();
    const last = goesOn ? await this.#follow(goesOn, { ...turn, end: { kind: 'whole' } }, expected) : first;
    if (last.tokens.some(({ id }, index) => (first.tokens[index]?.id ?? id) !== id)) this.#fail('it goes on otherwise');
    return last.outcome === 'over' ? 'over' : last.tokens.map(({ id }) => id);
  }

  async #follow(generation: Generation, turn: Turn, expected: Expectation) {
    const heard = { tokens: [] as GeneratedToken[], text: '' };
    let outcome: 'told' | 'over';
    try {
      await this.#listen(generation, turn, heard);
      outcome = await this.#finish(generation, turn, heard, expected);
    } catch (error) {
      outcome = this.#judgeError(error, turn, heard.text);
    }
    const handOff = fixedPassages(this.#world.scenario, this.#plan, expected.turn);
    const wrong = firstWrong(heard.tokens, { ...expected, handOff });
    if (wrong) this.#fail(`"${TOKENIZER.decode(expected.prompt)}", ${wrong}`);
    this.#world.tokens += heard.tokens.length;
    return { ...heard, outcome };
  }

  async #listen(generation: Generation, turn: Turn, heard: { tokens: GeneratedToken[]; text: string }): Promise<void> {
    let parts = 0;
    for await (const part of generation) {
      for (const token of part.tokens) {
        heard.tokens.push(token);
        this.#world.trace.add(this.#world.clock.now(), this.#number, 'settled', token.position, token.id);
      }
      heard.text += part.text;
      if (turn.end.kind === 'leave' && parts++ >= turn.end.afterParts) break;
    }
  }

  /** Iterating and awaiting must tell the same story. */
  async #finish(
    generation: Generation,
    turn: Turn,
    heard: { tokens: GeneratedToken[]; text: string },
    expected: Expectation,
  ): Promise<'told' | 'over'> {
    const result = await generation.then(
      (value) => value,
      (error: unknown) => error,
    );
    if (result instanceof Error) return this.#judgeError(result, turn, undefined);
    const { text, tokens, finishReason } = result as Awaited<Generation>;
    // Who leaves the loop may have missed the last parts.
    const isAll = turn.end.kind !== 'leave';
    if (isAll && (text !== heard.text || tokens.length !== heard.tokens.length)) {
      this.#fail(`the parts say "${heard.text}", the result "${text}"`);
    }
    const said = tokens.filter(({ id }) => !(expected.hasEos && id === EOS)).map(({ id }) => id);
    if (text !== TOKENIZER.decode(said)) this.#fail(`text "${text}" is not that of its tokens`);
    if (!isWhole(tokens, finishReason, expected)) this.#fail(`${finishReason} after ${tokens.length} tokens`);
    return this.#isDisposed ? 'over' : 'told';
  }

  #planEnd({ end }: Turn, stop: AbortController): () => void {
    switch (end.kind) {
      case 'whole':
      case 'leave':
        return () => {};
      case 'abort':
        return this.clock.schedule(end.afterMs, () => stop.abort());
      case 'dispose':
        return this.clock.schedule(end.afterMs, () => {
          this.#isDisposed = true;
          void this.#session?.dispose();
        });
    }
  }

  /** `heardText`: what the app got before; undefined if it did not listen to the end. */
  #judgeError(error: unknown, turn: Turn, heardText: string | undefined): 'told' | 'over' {
    if (!isTandemError(error)) {
      this.#fail(`not a TandemError: ${error instanceof Error ? error.stack : String(error)}`);
      return 'over';
    }
    this.#world.trace.add(this.#world.clock.now(), this.#number, error.code);
    if (heardText !== undefined && error.details.text !== heardText) {
      this.#fail(`${error.code} holds "${error.details.text}", the parts said "${heardText}"`);
    }
    if (!this.#mayFailWith(error.code, turn)) this.#fail(`unexpected ${error.message}`);
    return error.code === 'DISPOSED' || error.code === 'SESSION_TAKEN' ? 'over' : 'told';
  }

  #mayFailWith(code: string, turn: Turn): boolean {
    const { onCloudUnavailable, mode } = this.#plan.options;
    switch (code) {
      case 'ABORTED':
        return turn.end.kind === 'abort' || turn.end.kind === 'leave';
      case 'DISPOSED':
        return this.#isDisposed;
      case 'CLOUD_UNAVAILABLE':
        return onCloudUnavailable === 'fail' || (onCloudUnavailable === 'degrade' && mode === 'cloud-only');
      case 'SESSION_TAKEN':
        return this.#world.scenario.clients.some(({ tabOf }) => tabOf !== undefined);
      case 'ENGINE_FAILED':
        return this.#deviceFailures > 0;
      default:
        return false;
    }
  }

  #fail(what: string): void {
    this.#world.fail(`client ${this.#number}: ${what}`);
  }

  /** The frame's kind and its checksum stand for all of it. */
  #trace(what: string, frame: Uint8Array): void {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    this.#world.trace.add(this.#world.clock.now(), this.#number, what, view.getUint8(2), view.getUint32(12, true));
  }
}
