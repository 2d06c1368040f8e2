import { createInMemoryTelemetry } from 'afterspan/sdk'
import { afterEach, expect, test } from 'vitest'

let telemetry = createInMemoryTelemetry()
afterEach(async () => {
  await telemetry.shutdown()
  telemetry = createInMemoryTelemetry()
})

test('spans are there as soon as they end, in that order, until reset', () => {
  const tracer = telemetry.tracerProvider.getTracer('test')
  const first = tracer.startSpan('first')
  const second = tracer.startSpan('second')
  second.end()
  first.end()
  expect(telemetry.spans().map((span) => span.name)).toEqual(['second', 'first'])
  telemetry.reset()
  expect(telemetry.spans()).toEqual([])
})

test('collect reads metrics on demand and cumulatively', async () => {
  const counter = telemetry.meterProvider.getMeter('test').createCounter('things')
  counter.add(2)
  await telemetry.collect()
  counter.add(3)
  const metrics = await telemetry.collect()
  expect(metrics.scopeMetrics[0]?.metrics[0]?.descriptor.name).toBe('things')
  expect(metrics.scopeMetrics[0]?.metrics[0]?.dataPoints[0]?.value).toBe(5)
})

test('collect throws what an observable callback threw', async () => {
  const gauge = telemetry.meterProvider.getMeter('test').createObservableGauge('broken')
  gauge.addCallback(() => {
    throw new Error('no reading')
  })
  await expect(telemetry.collect()).rejects.toThrow('no reading')
})
