import type { Server } from 'node:http'
import { type MeterProvider, metrics, type ProxyTracerProvider, type TracerProvider, trace } from '@opentelemetry/api'
import { setMetricReader } from '../metrics/reader.ts'
import { isFalse, isTrue, number } from './environment.ts'
import { expressInstrumentation } from './express.ts'
import { ExchangeableTracerProvider, letAppTakeOver, registeredProvider } from './hand-over.ts'
import { registerImportHook } from './import-hook.ts'
import { prometheusPort, prometheusReader, pushReadersFromEnvironment, servePrometheus } from './metrics.ts'
import { type Notice, notice } from './notice.ts'
import { loadIfInstalled, loadPeer } from './peers.ts'
import { observeMemory } from './process-memory.ts'
import { RecentSpans, type RecentSpansOptions } from './recent-spans.ts'
import { LinkedSampler, samplerFromEnvironment } from './sampler.ts'
import type { Instrumentation, MetricReader, SpanProcessor, View } from './sdk-types.ts'
import { BurstSpanProcessor } from './span-processor.ts'
import { type TailSamplingOptions, TailSamplingProcessor } from './tail-sampling.ts'
import { ForwardingSpanProcessor, receiveSpans } from './thread-spans.ts'
import { spanProcessorsFromEnvironment } from './traces.ts'
import { UndeclaredSpans } from './undeclared-spans.ts'

export interface TelemetryOptions {
  /** Default: `OTEL_SERVICE_NAME`, else the `service.name` in `OTEL_RESOURCE_ATTRIBUTES`, else `unknown_service:node`. */
  readonly serviceName?: string
  /** Instrumentations besides those of HTTP, Express and, if it is installed, the Node runtime. */
  readonly instrumentations?: readonly Instrumentation[]
  /** Span processors besides that of `OTEL_TRACES_EXPORTER`. */
  readonly spanProcessors?: readonly SpanProcessor[]
  /** Metric readers besides that of `metrics()` and those of `OTEL_METRICS_EXPORTER`. */
  readonly metricReaders?: readonly MetricReader[]
  readonly views?: readonly View[]
  /** A span for each middleware, router and handler of Express. Default: `AFTERSPAN_EXPRESS_LAYERS`, else false. */
  readonly expressLayers?: boolean
  /**
   * Whether to look for work that the app does after its responses and that is no task: a metric by route and span, and a line on
   * stderr, once for each. `margin` as in `UndeclaredSpans`. Default: `AFTERSPAN_UNDECLARED`, else true.
   */
  readonly undeclared?: boolean | { readonly margin?: number }
  /**
   * How much of the latest spans is kept in this process, once `dashboard()` of `afterspan/dashboard` is mounted; see `RecentSpans`.
   * `false`: none, and the page has no traces.
   */
  readonly recentSpans?: false | RecentSpansOptions
  /**
   * Holds each trace until it is over, and keeps it if anything failed, was slow, retried or asked for, and a share of the rest; see
   * `TailSamplingProcessor`. A number is the share. Default: `AFTERSPAN_TAIL_SAMPLING` (a share, 0 to 1), else off.
   */
  readonly tailSampling?: number | Omit<TailSamplingOptions, 'next'>
}

/** The telemetry of this process. */
export interface Telemetry {
  /** False when nothing was set up; `reason` says why. */
  readonly started: boolean
  readonly reason?: 'disabled' | 'existing_provider'
  /** Sends what has been recorded; within `OTEL_BSP_EXPORT_TIMEOUT` (default 30 s). Never rejects. */
  flush(): Promise<void>
  /** Sends what has been recorded and ends the telemetry; what cannot be sent in time is counted. Never rejects. */
  shutdown(): Promise<void>
}

/** What only `register` uses besides. */
export interface RunningTelemetry extends Telemetry {
  /** The process ends now: counts and says what has not been sent. */
  abandon(): void
}

let running: RunningTelemetry | undefined

/**
 * Sets up OpenTelemetry for this process by its `OTEL_*` variables: traces over OTLP/HTTP (default
 * `http://localhost:4318`), metrics for `metrics()` of `afterspan/metrics`, HTTP and Express instrumentation, and that of
 * the event loop and the heap where `@opentelemetry/instrumentation-runtime-node` is installed, and the resident memory. What it is to see must be
 * loaded after it: `node --import afterspan/register server.js` calls it before anything else.
 *
 * It does nothing, and says so on stderr, when a tracer or meter provider is registered already; when the app registers its
 * own later, it hands over to it. A second call returns the first one's telemetry.
 *
 * @throws AfterspanError `ERR_AFTERSPAN_MISSING_PEER` when a package that it needs is not installed.
 */
export function startTelemetry(options: TelemetryOptions = {}): Telemetry {
  return startOnce(options)
}

export function startOnce(options: TelemetryOptions = {}): RunningTelemetry {
  if (running !== undefined) return running
  const env = process.env
  if (isTrue(env.OTEL_SDK_DISABLED)) return idle('disabled')
  const existing = registeredProvider()
  if (existing !== undefined) {
    notice(
      `a ${existing} provider is registered already, so no telemetry was set up: the existing one is used. Remove ` +
        'afterspan/register (or startTelemetry) to keep it that way, or remove the other set-up to use this one.',
    )
    return idle('existing_provider')
  }
  running = start(options, env, notice)
  return running
}

/** In a worker thread: the same spans, which the main thread sends. Nothing is set up where the thread has its own provider. */
export function startInThread(): void {
  if (isTrue(process.env.OTEL_SDK_DISABLED) || registeredProvider() !== undefined) return
  const { NodeSDK } = loadPeer('@opentelemetry/sdk-node') as typeof import('@opentelemetry/sdk-node')
  const http = loadPeer('@opentelemetry/instrumentation-http') as typeof import('@opentelemetry/instrumentation-http')
  registerImportHook(notice)
  const sdk = new NodeSDK({
    instrumentations: [new http.HttpInstrumentation()],
    sampler: new LinkedSampler(samplerFromEnvironment(process.env, notice)),
    spanProcessors: [new ForwardingSpanProcessor()],
    metricReaders: [],
    autoDetectResources: false,
  })
  withLogsOffByDefault(process.env, () => sdk.start())
}

function idle(reason: 'disabled' | 'existing_provider'): RunningTelemetry {
  return { started: false, reason, flush: async () => {}, shutdown: async () => {}, abandon() {} }
}

function start(options: TelemetryOptions, env: NodeJS.ProcessEnv, notice: Notice): RunningTelemetry {
  const { NodeSDK } = loadPeer('@opentelemetry/sdk-node') as typeof import('@opentelemetry/sdk-node')
  const http = loadPeer('@opentelemetry/instrumentation-http') as typeof import('@opentelemetry/instrumentation-http')
  registerImportHook(notice)
  const runtime = loadIfInstalled('@opentelemetry/instrumentation-runtime-node') as
    | typeof import('@opentelemetry/instrumentation-runtime-node')
    | undefined
  const undeclared = undeclaredFrom(options, env, notice)
  const instrumentations = [
    new http.HttpInstrumentation(undeclared && { applyCustomAttributesOnSpan: undeclared.response }),
    expressInstrumentation(options.expressLayers ?? isTrue(env.AFTERSPAN_EXPRESS_LAYERS)),
    ...(runtime === undefined ? [] : [new runtime.RuntimeNodeInstrumentation()]),
    ...(options.instrumentations ?? []),
  ]
  const reader = prometheusReader()
  const spanProcessors = [
    ...(undeclared === undefined ? [] : [undeclared]),
    // Before what samples: a trace that is not sent can still be looked at here.
    ...(options.recentSpans === false ? [] : [new RecentSpans(options.recentSpans)]),
    ...tailSampled(options, env, notice, spanProcessorsFromEnvironment(env, notice)),
    ...(options.spanProcessors ?? []),
  ]
  receiveSpans(spanProcessors)
  const sdk = new NodeSDK({
    instrumentations,
    sampler: new LinkedSampler(samplerFromEnvironment(env, notice)),
    spanProcessors,
    metricReaders: [reader, ...pushReadersFromEnvironment(env, notice), ...(options.metricReaders ?? [])],
    ...(options.views !== undefined && { views: [...options.views] }),
    ...(options.serviceName !== undefined && { serviceName: options.serviceName }),
  })
  withLogsOffByDefault(env, () => sdk.start())
  setMetricReader(reader)
  observeMemory(metrics.getMeterProvider())

  const port = prometheusPort(env, notice)
  const server =
    port === undefined ? undefined : servePrometheus(port, env.OTEL_EXPORTER_PROMETHEUS_HOST || 'localhost', notice)
  return handOverable({ sdk, instrumentations, spanProcessors, server, notice })
}

function undeclaredFrom(
  { undeclared }: TelemetryOptions,
  env: NodeJS.ProcessEnv,
  notice: Notice,
): UndeclaredSpans | undefined {
  if (undeclared === false || (undeclared === undefined && isFalse(env.AFTERSPAN_UNDECLARED))) return undefined
  return new UndeclaredSpans({ notice, ...(typeof undeclared === 'object' && undeclared) })
}

/** What sends spans, behind what decides on their traces where that is asked for. */
function tailSampled(
  { tailSampling }: TelemetryOptions,
  env: NodeJS.ProcessEnv,
  notice: Notice,
  next: readonly SpanProcessor[],
): readonly SpanProcessor[] {
  const share = number(env, 'AFTERSPAN_TAIL_SAMPLING', 0, notice)
  const given = tailSampling ?? (share === undefined ? undefined : Math.min(share, 1))
  if (given === undefined || next.length === 0) return next
  return [new TailSamplingProcessor({ ...(typeof given === 'number' ? { share: given } : given), next })]
}

type Flushable = { forceFlush?(): Promise<void>; shutdown?(): Promise<void> }

interface Parts {
  readonly sdk: { shutdown(): Promise<void> }
  readonly instrumentations: readonly Instrumentation[]
  readonly spanProcessors: readonly SpanProcessor[]
  readonly server: Server | undefined
  readonly notice: Notice
}

/** What was started, ready to step back signal by signal. */
function handOverable({ sdk, instrumentations, spanProcessors, server, notice }: Parts): RunningTelemetry {
  const proxy = trace.getTracerProvider() as ProxyTracerProvider
  const tracers = (registeredProvider() === 'tracer' ? proxy.getDelegate() : undefined) as
    | (TracerProvider & Flushable)
    | undefined
  const meters = metrics.getMeterProvider() as MeterProvider & Flushable
  const exchangeable = tracers === undefined ? undefined : new ExchangeableTracerProvider(tracers)
  if (exchangeable !== undefined) proxy.setDelegate(exchangeable)

  let said = false
  const handedOver = () => {
    if (said) return
    said = true
    notice(
      'the app has registered an OpenTelemetry provider of its own after afterspan/register: it is used from now on, and ' +
        'that of afterspan/register has ended. Load your set-up before it, or remove one of the two.',
    )
  }
  letAppTakeOver({
    tracer(provider) {
      if (exchangeable === undefined) return
      exchangeable.exchange(provider)
      void settled(tracers?.shutdown?.())
      handedOver()
    },
    meter(provider) {
      for (const instrumentation of instrumentations) instrumentation.setMeterProvider(provider)
      observeMemory(provider)
      void settled(meters.shutdown?.())
      server?.close()
      handedOver()
    },
  })
  return {
    started: true,
    flush: async () => {
      await Promise.all([settled(tracers?.forceFlush?.()), settled(meters.forceFlush?.())])
    },
    shutdown: async () => {
      server?.close()
      await settled(sdk.shutdown())
    },
    abandon() {
      for (const processor of spanProcessors) {
        if (processor instanceof BurstSpanProcessor || processor instanceof TailSamplingProcessor) processor.abandon()
      }
    },
  }
}

async function settled(work: Promise<void> | undefined): Promise<void> {
  await work?.catch(() => {})
}

/** NodeSDK sends logs to OTLP where the variable is unset; here they are sent only if asked for. It reads the variable while it starts. */
function withLogsOffByDefault(env: NodeJS.ProcessEnv, start: () => void): void {
  const given = env.OTEL_LOGS_EXPORTER
  env.OTEL_LOGS_EXPORTER = given || 'none'
  try {
    start()
  } finally {
    if (given === undefined) delete env.OTEL_LOGS_EXPORTER
    else env.OTEL_LOGS_EXPORTER = given
  }
}
