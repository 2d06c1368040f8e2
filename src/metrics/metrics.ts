import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { diag } from '@opentelemetry/api'
import type { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { checkObject } from '../model/check.ts'
import { describeError } from '../model/describe-error.ts'
import { AfterspanError } from '../model/errors.ts'
import { exemplars } from '../telemetry/exemplars.ts'
import type { ResourceMetrics } from './families.ts'
import { formatFor, takesGzip } from './negotiate.ts'
import { getMetricReader } from './reader.ts'
import { serialize } from './serialize.ts'
import { CONTENT_TYPES } from './text.ts'

const compress = promisify(gzip)

/** How long a collection may take at most, ms: below Prometheus' default scrape timeout of 10 s. A callback that hangs is left out. */
const COLLECT_LIMIT = 5_000
/** Bodies below this are not worth compressing, bytes. */
const COMPRESS_FROM = 1_024

const NO_READER = `No metrics are read in this process.
Start it with: node --import afterspan/register …
or put metricReader() from afterspan/metrics into the metricReaders of your own OpenTelemetry set-up.
`

export interface MetricsOptions {
  /** The reader to serve. Default: that of `afterspan/register`, or the latest made by `metricReader()`. */
  reader?: PrometheusExporter
}

/**
 * A handler that answers with all metrics of this process: OpenMetrics 1.0 with exemplars or Prometheus' plain format, by
 * `Accept`. For Express 4 and 5, and for `node:http`. GET and HEAD; 503 where nothing reads metrics.
 *
 * @throws AfterspanError ERR_AFTERSPAN_OPTION.
 */
export function metrics(options?: MetricsOptions): (req: IncomingMessage, res: ServerResponse) => void {
  const { reader } = checkObject('options', options, ['reader'])
  if (reader !== undefined && typeof (reader as Partial<PrometheusExporter>).collect !== 'function') {
    throw new AfterspanError(
      'ERR_AFTERSPAN_OPTION',
      'Expected `reader` to be a PrometheusExporter, such as metricReader() makes.',
    )
  }
  return function afterspanMetrics(req, res) {
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.setHeader('Allow', 'GET, HEAD')
      answer(res, 405, 'Only GET and HEAD are answered here.\n')
      return
    }
    const from = reader ?? getMetricReader()
    if (from === undefined) {
      answer(res, 503, NO_READER)
      return
    }
    collect(from, timeLimit(req))
      .then(
        (collected) => respond(req, res, collected),
        (error: unknown) => answer(res, 503, `${describeError(error).message}\n${NO_READER}`),
      )
      .catch((error: unknown) => answer(res, 500, `${describeError(error).message}\n`))
  }
}

/** Scrapes that come while one is under way share what it collects. */
function collect(reader: PrometheusExporter, limit: number): Promise<ResourceMetrics> {
  let collected = underWay.get(reader)
  if (collected === undefined) {
    collected = collectOnce(reader, limit).finally(() => underWay.delete(reader))
    underWay.set(reader, collected)
  }
  return collected
}

const underWay = new WeakMap<PrometheusExporter, Promise<ResourceMetrics>>()

/** Prometheus says when it will hang up; the rest must be on its way by then, ms. */
function timeLimit(req: IncomingMessage): number {
  const seconds = Number(req.headers['x-prometheus-scrape-timeout-seconds'])
  return seconds > 0 ? Math.min(COLLECT_LIMIT, seconds * 800) : COLLECT_LIMIT
}

async function collectOnce(reader: PrometheusExporter, limit: number): Promise<ResourceMetrics> {
  // Throws when the reader was shut down, as when the app has put a MeterProvider of its own in place.
  const { resourceMetrics, errors } = await reader.collect({ timeoutMillis: limit })
  // One callback that throws or hangs must not lose the rest.
  for (const error of errors) diag.error('afterspan: an observable metric failed while metrics were collected', error)
  return resourceMetrics
}

async function respond(req: IncomingMessage, res: ServerResponse, collected: ResourceMetrics): Promise<void> {
  const format = formatFor(req.headers.accept)
  let body = Buffer.from(serialize(collected, { format, exemplars }))
  const zipped = body.length >= COMPRESS_FROM && takesGzip(headerOf(req, 'accept-encoding'))
  if (zipped) body = await compress(body)
  // The app may have answered meanwhile, as a middleware that limits the time of a request does.
  if (res.headersSent) return
  res.setHeader('Content-Type', CONTENT_TYPES[format])
  res.appendHeader('Vary', 'Accept, Accept-Encoding')
  if (zipped) res.setHeader('Content-Encoding', 'gzip')
  answer(res, 200, body)
}

function headerOf(req: IncomingMessage, name: 'accept-encoding'): string | undefined {
  const value = req.headers[name]
  return Array.isArray(value) ? value.join(',') : value
}

/** Writes the whole answer; Node leaves the body out for HEAD. A client that has gone needs none. */
function answer(res: ServerResponse, status: number, body: string | Buffer): void {
  if (res.destroyed || res.headersSent) return
  res.statusCode = status
  if (!res.hasHeader('Content-Type')) res.setHeader('Content-Type', 'text/plain; charset=utf-8')
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Content-Length', Buffer.byteLength(body))
  res.end(body)
}
