import { type Tracer, type TracerProvider, trace } from '@opentelemetry/api'
import { createInMemoryTelemetry } from 'afterspan/sdk'
import { afterEach, expect, test } from 'vitest'
import { ExchangeableTracerProvider, registeredProvider } from '../../src/sdk/hand-over.ts'

afterEach(() => trace.disable())

test('a tracer in use records with the new provider after an exchange', () => {
  const first = createInMemoryTelemetry()
  const second = createInMemoryTelemetry()
  const provider = new ExchangeableTracerProvider(first.tracerProvider)
  const tracer = provider.getTracer('app', '1')
  tracer.startSpan('one').end()
  provider.exchange(second.tracerProvider)
  tracer.startActiveSpan('two', (span) => span.end())
  expect(first.spans().map((span) => span.name)).toEqual(['one'])
  expect(second.spans().map((span) => span.name)).toEqual(['two'])
  expect(second.spans()[0]?.instrumentationScope).toMatchObject({ name: 'app', version: '1' })
})

test('a tracer is made once per provider, not once per span', () => {
  let made = 0
  const counting: TracerProvider = {
    getTracer: () => {
      made++
      return { startSpan: () => ({}) } as unknown as Tracer
    },
  }
  const tracer = new ExchangeableTracerProvider(counting).getTracer('app')
  tracer.startSpan('one')
  tracer.startSpan('two')
  expect(made).toBe(1)
})

test('a flush goes to the provider in force', async () => {
  const flushed: string[] = []
  const named = (name: string) => ({ getTracer: () => ({}) as Tracer, forceFlush: async () => void flushed.push(name) })
  const provider = new ExchangeableTracerProvider(named('first'))
  provider.exchange(named('second'))
  await provider.forceFlush()
  expect(flushed).toEqual(['second'])
})

test('a registered provider is seen whichever copy of the API registered it', () => {
  expect(registeredProvider()).toBeUndefined()
  trace.setGlobalTracerProvider(createInMemoryTelemetry().tracerProvider)
  expect(registeredProvider()).toBe('tracer')
})
