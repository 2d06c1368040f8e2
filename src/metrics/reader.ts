import { createRequire } from 'node:module'
import type { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { AfterspanError } from '../model/errors.ts'

/** On the global object, so that two copies of this package in one process find the same reader. */
const READER = Symbol.for('afterspan.metric-reader')

const holder = globalThis as { [READER]?: PrometheusExporter }

/** Makes this the reader that `metrics()` serves. */
export function setMetricReader(reader: PrometheusExporter): void {
  holder[READER] = reader
}

export function getMetricReader(): PrometheusExporter | undefined {
  return holder[READER]
}

/**
 * A metric reader for an app that sets up OpenTelemetry by itself: it goes into the `metricReaders` of its NodeSDK (or the
 * `readers` of its MeterProvider), and `metrics()` serves what it reads. It opens no port.
 *
 * @throws AfterspanError ERR_AFTERSPAN_MISSING_PEER when `@opentelemetry/exporter-prometheus` is not installed.
 */
export function metricReader(): PrometheusExporter {
  const { PrometheusExporter } = load()
  const reader = new PrometheusExporter({ preventServerStart: true })
  setMetricReader(reader)
  return reader
}

function load(): typeof import('@opentelemetry/exporter-prometheus') {
  const name = '@opentelemetry/exporter-prometheus'
  try {
    return createRequire(import.meta.url)(name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    throw new AfterspanError(
      'ERR_AFTERSPAN_MISSING_PEER',
      `metricReader() needs a package that is not installed. Run: npm install ${name}`,
      {
        cause: error,
      },
    )
  }
}
