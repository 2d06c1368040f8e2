import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { diag } from '@opentelemetry/api'
import type { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { checkObject } from '../model/check.ts'
import { describeError } from '../model/describe-error.ts'
import { AfterspanError } from '../model/errors.ts'
import { exemplars } from '../telemetry/exemplars.ts'
import { type Family, familiesOf } from './families.ts'
import { formatFor, takesGzip } from './negotiate.ts'
import { getMetricReader } from './reader.ts'
import { CONTENT_TYPES, write } from './text.ts'

const compress = promisify(gzip)

/** How long a collection may take, ms: below Prometheus' default scrape timeout of 10 s. A callback that hangs is left out. */
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
  /** Scrapes that come while one is under way share what it collects. */
  const underWay = new WeakMap<PrometheusExporter, Promise<Family[]>>()
  const collect = (from: PrometheusExporter) => {
    let families = underWay.get(from)
    if (families === undefined) {
      families = collectFamilies(from).finally(() => underWay.delete(from))
      underWay.set(from, families)
    }
    return families
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
    collect(from).then(
      (families) => respond(req, res, families),
      (error: unknown) => answer(res, 503, `${describeError(error).message}\n${NO_READER}`),
    )
  }
}

async function collectFamilies(reader: PrometheusExporter): Promise<Family[]> {
  // Throws when the reader was shut down, as when the app has put a MeterProvider of its own in place.
  const { resourceMetrics, errors } = await reader.collect({ timeoutMillis: COLLECT_LIMIT })
  // One callback that throws or hangs must not lose the rest.
  for (const error of errors) diag.error('afterspan: an observable metric failed while metrics were collected', error)
  return familiesOf(resourceMetrics, exemplars)
}

async function respond(req: IncomingMessage, res: ServerResponse, families: readonly Family[]): Promise<void> {
  const format = formatFor(req.headers.accept)
  let body = Buffer.from(write(families, format))
  res.setHeader('Content-Type', CONTENT_TYPES[format])
  res.setHeader('Vary', 'Accept, Accept-Encoding')
  if (body.length >= COMPRESS_FROM && takesGzip(headerOf(req, 'accept-encoding'))) {
    body = await compress(body)
    res.setHeader('Content-Encoding', 'gzip')
  }
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
