/**
 * The floor: the span, histogram and counter that a careful team writes by hand around a task, with four attributes on the
 * span, the result on the metrics, and the error on both.
 */

import { metrics, SpanStatusCode, trace } from '@opentelemetry/api'

export type Traced = (work: () => Promise<unknown>) => Promise<void>

/** To be called when the providers are registered. */
export function tracedByHand(name: string): Traced {
  const tracer = trace.getTracer('by-hand')
  const meter = metrics.getMeter('by-hand')
  const duration = meter.createHistogram('by_hand.task.duration', {
    unit: 's',
    advice: {
      explicitBucketBoundaries: [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900,
      ],
    },
  })
  const finished = meter.createCounter('by_hand.task.finished')
  let id = 0
  return (work) => {
    const attributes = { 'task.name': name, 'task.id': String(id++), 'task.attempt': 1 }
    return tracer.startActiveSpan(`task ${name}`, { attributes }, async (span) => {
      const started = performance.now()
      let result = 'ok'
      try {
        await work()
      } catch (error) {
        result = 'error'
        span.recordException(error as Error)
        span.setStatus({ code: SpanStatusCode.ERROR })
      } finally {
        span.setAttribute('task.result', result)
        span.end()
        const labels = { 'task.name': name, 'task.result': result }
        duration.record((performance.now() - started) / 1000, labels)
        finished.add(1, labels)
      }
    })
  }
}
