import { context, type Span as OpenTelemetrySpan, SpanStatusCode, trace } from '@opentelemetry/api';

/** What is traced. A step lies inside its forward. */
export type SpanName = 'tandem.session.open' | 'tandem.forward' | 'tandem.step';

/** Counts, sizes, times and words of the server: never text, token ids, rows, credentials or session ids. */
export type SpanAttributes = Readonly<Record<string, number | boolean | string>>;

export interface Span {
  /** One inside this. */
  begin(name: SpanName, attributes?: SpanAttributes): Span;
  /** `failure`: the code of what went wrong. */
  end(attributes?: SpanAttributes, failure?: string): void;
}

/** Where spans begin. */
export type Tracing = Pick<Span, 'begin'>;

/**
 * The only door to OpenTelemetry. It has its API and nothing else: without a provider that the operator registers
 * (`node --import ./tracing.js`), every span is one and the same object that does nothing.
 */
export function openTelemetry(version: string): Tracing {
  const tracer = trace.getTracer('tandem-cloud', version);
  const begin = (name: SpanName, attributes: SpanAttributes = {}, parent?: OpenTelemetrySpan): Span => {
    const around = parent ? trace.setSpan(context.active(), parent) : context.active();
    const span = tracer.startSpan(name, { attributes }, around);
    return {
      begin: (inner, innerAttributes) => begin(inner, innerAttributes, span),
      end(last = {}, failure) {
        span.setAttributes(last);
        if (failure !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
        span.end();
      },
    };
  };
  return { begin };
}

const NO_SPAN: Span = { begin: () => NO_SPAN, end() {} };

/** For hosts that nobody traces: simulations, most tests. */
export const NO_TRACING: Tracing = NO_SPAN;
