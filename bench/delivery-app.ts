/** A process that makes task spans and sends them over OTLP, with the stock batch processor or with Afterspan's. */

import { SpanKind, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { createTasks } from 'afterspan'
import { BurstSpanProcessor } from 'afterspan/sdk'
import { argument, serve } from './child.ts'
import { sdkTrace, startSdk } from './telemetry.ts'

const { processor, collector } = argument<{ processor: 'stock' | 'afterspan'; collector: string }>()
const exporter = new OTLPTraceExporter({ url: collector, concurrencyLimit: 64 })
const spans =
  processor === 'stock'
    ? new sdkTrace.BatchSpanProcessor({ exporter })
    : new BurstSpanProcessor({ exporter, notice: () => {} })
const reader = startSdk(spans, false)
const tasks = createTasks({ shutdown: false })
const trivial = tasks.define('trivial', async () => {})

const tracer = trace.getTracer('bench')

serve({
  /** So many requests a second, each a SERVER span and a task span, in portions of 10 ms; the number of spans. */
  steady: ({ rate, seconds }: { rate: number; seconds: number }) =>
    new Promise((resolve) => {
      const started = performance.now()
      let made = 0
      const timer = setInterval(() => {
        const due = Math.min(rate * seconds, Math.floor(((performance.now() - started) * rate) / 1000))
        for (; made < due; made++) {
          tracer.startActiveSpan('GET /', { kind: SpanKind.SERVER }, (request) => {
            trivial.defer()
            request.end()
          })
        }
        if (made < rate * seconds) return
        clearInterval(timer)
        setImmediate(() => resolve(2 * made))
      }, 10)
    }),
  /** So many spans in one turn of the event loop. */
  burst({ count }: { count: number }) {
    for (let i = 0; i < count; i++) {
      tracer.startSpan('task trivial', { attributes: { 'task.name': 'trivial', 'task.attempt': 1 } }).end()
    }
    return count
  },
  /** Sends the rest; how many spans are counted as lost in `afterspan.telemetry.lost`. */
  async finish() {
    await spans.forceFlush()
    const { resourceMetrics } = await reader.collect()
    const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
    const lost = metrics.find((metric) => metric.descriptor.name === 'afterspan.telemetry.lost')
    return lost?.dataPoints.reduce((sum, point) => sum + (point.value as number), 0) ?? 0
  },
})
