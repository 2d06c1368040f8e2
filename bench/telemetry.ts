/**
 * The OpenTelemetry set-up of all parts: what `afterspan/register` starts (HTTP and Express instrumentation without layer
 * spans, its sampler and its span processor), with an exporter of the benchmark's choice in place of OTLP to Jaeger.
 */

import { createRequire } from 'node:module'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { ExpressInstrumentation, ExpressLayerType } from '@opentelemetry/instrumentation-express'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { NodeSDK } from '@opentelemetry/sdk-node'
import type * as SdkTrace from '@opentelemetry/sdk-trace'
import { LinkedSampler } from 'afterspan/sdk'

/** The tracing SDK that sdk-node brings. */
export const sdkTrace = createRequire(import.meta.resolve('@opentelemetry/sdk-node'))(
  '@opentelemetry/sdk-trace',
) as typeof SdkTrace

/** Takes every batch and throws it away: what a collector costs is not measured. */
export const discardingExporter: SdkTrace.SpanExporter = {
  export: (_spans, done) => done({ code: 0 }),
  async shutdown() {},
}

/** Throws every span away as it ends: what sending costs is not measured. */
export const discardingProcessor: SdkTrace.SpanProcessor = {
  onStart() {},
  onEnd() {},
  async forceFlush() {},
  async shutdown() {},
}

/** Starts tracing and metrics; returns the metric reader. To be called before `http` and `express` are loaded. */
export function startSdk(processor: SdkTrace.SpanProcessor, instrumented: boolean): PrometheusExporter {
  const reader = new PrometheusExporter({ preventServerStart: true })
  const { MIDDLEWARE, ROUTER, REQUEST_HANDLER } = ExpressLayerType
  const sdk = new NodeSDK({
    sampler: new LinkedSampler(new sdkTrace.AlwaysOnSampler()),
    spanProcessors: [processor],
    metricReaders: [reader],
    instrumentations: instrumented
      ? [
          new HttpInstrumentation(),
          new ExpressInstrumentation({ ignoreLayersType: [MIDDLEWARE, ROUTER, REQUEST_HANDLER] }),
        ]
      : [],
  })
  sdk.start()
  return reader
}
