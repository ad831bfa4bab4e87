import { trace } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { openTelemetry } from '@tandem/cloud/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { forward, SessionBench, truth } from '../support/session-bench.js';
import { quiet } from '../support/wire-client.js';

/** Spans of a real session host, as an operator's exporter gets them. */
describe('tracing', () => {
  afterEach(() => trace.disable());

  function record(): InMemorySpanExporter {
    const exporter = new InMemorySpanExporter();
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    trace.setGlobalTracerProvider(provider);
    return exporter;
  }

  it('tells of openings, forwards, and the steps inside them', async () => {
    const exporter = record();
    const bench = new SessionBench({ tracing: openTelemetry('1.2.3') });
    const { client } = await bench.open({}, 'canary-session-of-tests');
    forward(client, 1, 0, 6, { want: [4, 5], drafts: [truth(4), (truth(5) + 1) % 50] });
    await quiet();
    await expect(bench.open({ model: 'another' }, 'canary-session-two')).resolves.toBeDefined();
    const spans = exporter.getFinishedSpans();
    expect(spans.map(({ name }) => name)).toEqual([
      'tandem.session.open',
      'tandem.step',
      'tandem.forward',
      'tandem.session.open',
    ]);
    const [open, step, whole, refused] = spans;
    expect(open!.attributes).toEqual({ context: 'rows', codec: 'f32', capacity: 100, heldRows: 0, prefixRows: 0 });
    expect(whole!.attributes).toMatchObject({ origin: 'client', rows: 6, wants: 2, cancelled: false });
    expect(step!.attributes).toMatchObject({ kind: 'interactive', rows: 6, engine: 0, tokens: 2, mismatch: true });
    expect(step!.parentSpanContext?.spanId).toBe(whole!.spanContext().spanId);
    expect(step!.spanContext().traceId).toBe(whole!.spanContext().traceId);
    expect(refused!.status.message).toBe('MODEL_MISMATCH');
    expect(step!.instrumentationScope).toMatchObject({ name: 'tandem-cloud', version: '1.2.3' });
    // Nothing of a client's own words: ids, tokens, rows.
    expect(JSON.stringify(spans.map(({ name, attributes, status }) => [name, attributes, status]))).not.toContain(
      'canary',
    );
  });

  it('ends what is dropped: cancelled by a newer epoch, by a client that leaves', async () => {
    const exporter = record();
    const bench = new SessionBench({ tracing: openTelemetry('1.2.3') });
    const { client, pipe } = await bench.open();
    bench.engine.hold();
    forward(client, 1, 0, 4, { want: [3] });
    forward(client, 1, 4, 8, { want: [7] });
    await quiet();
    forward(client, 2, 2, 5, { want: [4] });
    forward(client, 2, 5, 8, { want: [7] });
    await quiet();
    pipe.cut();
    await quiet();
    bench.engine.release();
    await quiet();
    const forwards = exporter.getFinishedSpans().filter(({ name }) => name === 'tandem.forward');
    expect(forwards.map(({ attributes }) => attributes.cancelled)).toEqual([true, true, true, true]);
  });

  it('costs nothing without a provider: the same verdicts, no span', async () => {
    const bench = new SessionBench({ tracing: openTelemetry('1.2.3') });
    const { client } = await bench.open();
    forward(client, 1, 0, 6, { want: [5] });
    await quiet();
    expect(client.last('verdict')).toMatchObject({ tokens: [truth(5)] });
  });
});
