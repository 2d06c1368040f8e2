import { list, number } from './environment.ts'
import type { Notice } from './notice.ts'
import { loadFromSdk, loadPeer } from './peers.ts'
import type { SpanExporter, SpanProcessor } from './sdk-types.ts'
import { BurstSpanProcessor } from './span-processor.ts'

/** OTLP requests that the exporter may have open: more than the processor ever sends, so that it never refuses one. */
const EXPORTER_LIMIT = 64

/** The span processors that `OTEL_TRACES_EXPORTER` (otlp, console, zipkin, none; several with commas) asks for; unset: otlp. */
export function spanProcessorsFromEnvironment(env: NodeJS.ProcessEnv, notice: Notice): SpanProcessor[] {
  const names = list(env.OTEL_TRACES_EXPORTER, 'otlp')
  if (names.includes('none')) return []
  return names.flatMap((name): SpanProcessor[] => {
    switch (name) {
      case 'otlp':
        return [burst(otlpExporter(env, notice), otlpEndpoint(env), env, notice)]
      case 'zipkin': {
        const { ZipkinExporter } = loadFromSdk('@opentelemetry/exporter-zipkin') as {
          ZipkinExporter: new () => SpanExporter
        }
        return [burst(new ZipkinExporter(), env.OTEL_EXPORTER_ZIPKIN_ENDPOINT ?? 'http://localhost:9411', env, notice)]
      }
      case 'console': {
        const sdk = loadFromSdk('@opentelemetry/sdk-trace') as typeof import('@opentelemetry/sdk-trace')
        return [new sdk.SimpleSpanProcessor({ exporter: new sdk.ConsoleSpanExporter() })]
      }
      default:
        notice(`OTEL_TRACES_EXPORTER: "${name}" is not known and left out. Known are otlp, console, zipkin and none.`)
        return []
    }
  })
}

function burst(exporter: SpanExporter, endpoint: string, env: NodeJS.ProcessEnv, notice: Notice): SpanProcessor {
  const given = {
    maxQueueSize: number(env, 'OTEL_BSP_MAX_QUEUE_SIZE', 1, notice),
    maxExportBatchSize: number(env, 'OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 1, notice),
    scheduledDelayMillis: number(env, 'OTEL_BSP_SCHEDULE_DELAY', 0, notice),
    exportTimeoutMillis: number(env, 'OTEL_BSP_EXPORT_TIMEOUT', 1, notice),
  }
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  return new BurstSpanProcessor({ exporter, endpoint, notice, ...set })
}

function otlpExporter(env: NodeJS.ProcessEnv, notice: Notice): SpanExporter {
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? env.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/json'
  const options = { concurrencyLimit: EXPORTER_LIMIT }
  if (protocol === 'grpc' || protocol === 'http/protobuf') {
    const name =
      protocol === 'grpc' ? '@opentelemetry/exporter-trace-otlp-grpc' : '@opentelemetry/exporter-trace-otlp-proto'
    const { OTLPTraceExporter } = loadFromSdk(name) as { OTLPTraceExporter: new (options: object) => SpanExporter }
    return new OTLPTraceExporter(options)
  }
  if (protocol !== 'http/json') {
    notice(
      `OTEL_EXPORTER_OTLP_PROTOCOL="${protocol}" is not known: http/json is used. Known are http/json, http/protobuf and grpc.`,
    )
  }
  const { OTLPTraceExporter } = loadPeer(
    '@opentelemetry/exporter-trace-otlp-http',
  ) as typeof import('@opentelemetry/exporter-trace-otlp-http')
  return new OTLPTraceExporter(options)
}

/** Where spans go, for messages; without what a URL may carry of secrets. */
function otlpEndpoint(env: NodeJS.ProcessEnv): string {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT || 'http://localhost:4318'
  try {
    const { protocol, host } = new URL(endpoint)
    return `${protocol}//${host}`
  } catch {
    return endpoint
  }
}
