import { createServer, type Server } from 'node:http'
import { describeError } from '../model/describe-error.ts'
import { list, number } from './environment.ts'
import type { Notice } from './notice.ts'
import { loadFromSdk, loadPeer } from './peers.ts'
import type { MetricReader } from './sdk-types.ts'

type Prometheus = InstanceType<typeof import('@opentelemetry/exporter-prometheus').PrometheusExporter>

/** The reader behind `metrics()`; it opens no port of its own. */
export function prometheusReader(): Prometheus {
  const { PrometheusExporter } = loadPeer(
    '@opentelemetry/exporter-prometheus',
  ) as typeof import('@opentelemetry/exporter-prometheus')
  return new PrometheusExporter({ preventServerStart: true })
}

/**
 * The readers that push, as `OTEL_METRICS_EXPORTER` (otlp, console; several with commas) asks for them. Unset and `none`
 * mean no push: `metrics()` serves the metrics in the app, and needs no permission for it but its route.
 */
export function pushReadersFromEnvironment(env: NodeJS.ProcessEnv, notice: Notice): MetricReader[] {
  const names = list(env.OTEL_METRICS_EXPORTER, 'none')
  if (names.includes('none')) return []
  const sdk = loadFromSdk('@opentelemetry/sdk-metrics') as typeof import('@opentelemetry/sdk-metrics')
  const exportIntervalMillis = number(env, 'OTEL_METRIC_EXPORT_INTERVAL', 1, notice) ?? 60_000
  const exportTimeoutMillis = Math.min(
    number(env, 'OTEL_METRIC_EXPORT_TIMEOUT', 1, notice) ?? 30_000,
    exportIntervalMillis,
  )
  const periodic = (exporter: import('@opentelemetry/sdk-metrics').PushMetricExporter) =>
    new sdk.PeriodicExportingMetricReader({ exporter, exportIntervalMillis, exportTimeoutMillis })
  return names.flatMap((name): MetricReader[] => {
    switch (name) {
      case 'otlp':
        return [periodic(otlpMetricExporter(env))]
      case 'console':
        return [periodic(new sdk.ConsoleMetricExporter())]
      case 'prometheus':
        return []
      default:
        notice(
          `OTEL_METRICS_EXPORTER: "${name}" is not known and left out. Known are otlp, console, prometheus and none.`,
        )
        return []
    }
  })
}

function otlpMetricExporter(env: NodeJS.ProcessEnv): import('@opentelemetry/sdk-metrics').PushMetricExporter {
  const protocol = env.OTEL_EXPORTER_OTLP_METRICS_PROTOCOL ?? env.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf'
  const format = { grpc: 'grpc', 'http/json': 'http' }[protocol] ?? 'proto'
  const { OTLPMetricExporter } = loadFromSdk(`@opentelemetry/exporter-metrics-otlp-${format}`) as {
    OTLPMetricExporter: new () => import('@opentelemetry/sdk-metrics').PushMetricExporter
  }
  return new OTLPMetricExporter()
}

/** The port on which Prometheus is to find the metrics without the app: only if `OTEL_EXPORTER_PROMETHEUS_PORT` or `OTEL_METRICS_EXPORTER=prometheus` asks for it. */
export function prometheusPort(env: NodeJS.ProcessEnv, notice: Notice): number | undefined {
  const port = number(env, 'OTEL_EXPORTER_PROMETHEUS_PORT', 0, notice)
  if (port !== undefined) return port
  return list(env.OTEL_METRICS_EXPORTER, '').includes('prometheus') ? 9464 : undefined
}

/** Serves `metrics()` on a port of its own, at `/metrics`. It does not keep the process alive. */
export function servePrometheus(port: number, host: string, notice: Notice): Server {
  const handler = import('../metrics/index.ts').then(({ metrics }) => metrics())
  const server = createServer((request, response) => {
    const path = request.url?.split('?', 1)[0]
    if (path !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    handler
      .then((serve) => serve(request, response))
      .catch((error: unknown) => {
        if (!response.headersSent) response.writeHead(500)
        response.end(`${describeError(error).message}\n`)
      })
  })
  server.on('error', (error) => {
    notice(
      `Prometheus metrics cannot be served on ${host}:${port} (${error.message}). The app goes on without that port.`,
    )
  })
  server.listen(port, host).unref()
  return server
}
