import { type MeterProvider, TraceFlags, type TracerProvider } from '@opentelemetry/api'
import { loadFromSdk } from './peers.ts'
import type { ReadableSpan, ResourceMetrics, Sampler, SpanProcessor } from './sdk-types.ts'

export interface InMemoryTelemetryOptions {
  /** Which spans are sampled. Default: the SDK's own, a parent's decision, else all. */
  readonly sampler?: Sampler
}

/** Telemetry that stays in this process: for tests. */
export interface InMemoryTelemetry {
  readonly tracerProvider: TracerProvider & { forceFlush(): Promise<void>; shutdown(): Promise<void> }
  readonly meterProvider: MeterProvider & { forceFlush(): Promise<void>; shutdown(): Promise<void> }
  /** The sampled spans that have ended since the last `reset()`, in the order in which they ended; a copy. */
  spans(): ReadableSpan[]
  /** All metrics now, cumulative since the start. @throws what a failing observable callback threw. */
  collect(): Promise<ResourceMetrics>
  /** Forgets the spans. Metrics are cumulative and go on: take a difference, or make new telemetry. */
  reset(): void
  shutdown(): Promise<void>
}

/**
 * A tracer and a meter provider whose output can be read at once, made with the SDK that `register` uses. Neither is
 * registered globally: hand them to `createTasks({ tracerProvider, meterProvider })`.
 *
 * @throws AfterspanError `ERR_AFTERSPAN_MISSING_PEER` when `@opentelemetry/sdk-node` is not installed.
 */
export function createInMemoryTelemetry(options: InMemoryTelemetryOptions = {}): InMemoryTelemetry {
  const trace = loadFromSdk('@opentelemetry/sdk-trace') as typeof import('@opentelemetry/sdk-trace')
  const metrics = loadFromSdk('@opentelemetry/sdk-metrics') as typeof import('@opentelemetry/sdk-metrics')

  class OnDemandReader extends metrics.MetricReader {
    protected override async onForceFlush(): Promise<void> {}
    protected override async onShutdown(): Promise<void> {}
  }

  const finished: ReadableSpan[] = []
  const collector: SpanProcessor = {
    onStart() {},
    onEnd(span) {
      if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0) finished.push(span)
    },
    async forceFlush() {},
    async shutdown() {},
  }
  const reader = new OnDemandReader()
  const tracerProvider = new trace.TracerProvider({
    spanProcessors: [collector],
    ...(options.sampler !== undefined && { sampler: options.sampler }),
  })
  const meterProvider = new metrics.MeterProvider({ readers: [reader] })

  return {
    tracerProvider,
    meterProvider,
    spans: () => [...finished],
    async collect() {
      const { resourceMetrics, errors } = await reader.collect()
      if (errors.length > 0) throw errors[0]
      return resourceMetrics
    },
    reset() {
      finished.length = 0
    },
    async shutdown() {
      await Promise.all([tracerProvider.shutdown(), meterProvider.shutdown()])
    },
  }
}
