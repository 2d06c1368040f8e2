import { type Link, ROOT_CONTEXT, SpanKind, TraceFlags, trace } from '@opentelemetry/api'
import { createInMemoryTelemetry } from 'afterspan/sdk'
import { expect, test } from 'vitest'
import { LinkedSampler, samplerFromEnvironment } from '../../src/sdk/sampler.ts'

const nothing = () => {}
const none = samplerFromEnvironment({ OTEL_TRACES_SAMPLER: 'always_off' }, nothing)
const all = samplerFromEnvironment({}, nothing)
const task = { attributes: { 'task.name': 'mail' } }

function linkTo(traceFlags: TraceFlags): Link {
  return { context: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags } }
}

function isSampled(
  sampler: LinkedSampler,
  options: { attributes?: Record<string, string>; links?: Link[] },
  context = ROOT_CONTEXT,
) {
  const telemetry = createInMemoryTelemetry({ sampler })
  const span = telemetry.tracerProvider
    .getTracer('test')
    .startSpan('task mail', { kind: SpanKind.INTERNAL, ...options }, context)
  return (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0
}

test('a task that is the root of its trace gets the decision of what it is linked to', () => {
  expect(isSampled(new LinkedSampler(all), { ...task, links: [linkTo(TraceFlags.NONE)] })).toBe(false)
  expect(isSampled(new LinkedSampler(none), { ...task, links: [linkTo(TraceFlags.SAMPLED)] })).toBe(true)
})

test('only the first link decides', () => {
  const links = [linkTo(TraceFlags.NONE), linkTo(TraceFlags.SAMPLED)]
  expect(isSampled(new LinkedSampler(all), { ...task, links })).toBe(false)
})

test('a task without a link, a span that is no task, and a child are left to the configured sampler', () => {
  const unsampled = [linkTo(TraceFlags.NONE)]
  expect(isSampled(new LinkedSampler(all), task)).toBe(true)
  expect(isSampled(new LinkedSampler(none), task)).toBe(false)
  expect(isSampled(new LinkedSampler(all), { links: unsampled })).toBe(true)
  const parent = trace.setSpanContext(ROOT_CONTEXT, {
    traceId: 'c'.repeat(32),
    spanId: 'd'.repeat(16),
    traceFlags: TraceFlags.SAMPLED,
  })
  expect(isSampled(new LinkedSampler(all), { ...task, links: unsampled }, parent)).toBe(true)
})

test('OTEL_TRACES_SAMPLER names the sampler', () => {
  const named = (name: string, argument?: string) =>
    String(samplerFromEnvironment({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: argument }, nothing))
  expect(named('always_on')).toBe('AlwaysOnSampler')
  expect(named('always_off')).toBe('AlwaysOffSampler')
  expect(named('traceidratio', '0.25')).toBe('TraceIdRatioBased{0.25}')
  expect(named('parentbased_traceidratio', '0.5')).toContain('root=TraceIdRatioBased{0.5}')
  expect(named('parentbased_always_off')).toContain('root=AlwaysOffSampler')
  expect(named('')).toContain('root=AlwaysOnSampler')
})

test('a sampler or a ratio that cannot be understood is said, and everything is sampled', () => {
  const said: string[] = []
  const name = samplerFromEnvironment({ OTEL_TRACES_SAMPLER: 'sometimes' }, (line) => said.push(line))
  expect(String(name)).toContain('root=AlwaysOnSampler')
  const ratio = samplerFromEnvironment({ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '7' }, (line) =>
    said.push(line),
  )
  expect(String(ratio)).toBe('TraceIdRatioBased{1}')
  expect(said).toHaveLength(2)
})
