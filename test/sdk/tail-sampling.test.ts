import { ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import { type TailSamplingOptions, TailSamplingProcessor } from 'afterspan/sdk'
import { ControlledClock } from 'afterspan/testing'
import { afterEach, expect, test, vi } from 'vitest'
import { inScope } from '../../src/background/scope.ts'
import { Tasks } from '../../src/background/tasks.ts'
import { selfHealth } from '../../src/telemetry/self-health.ts'

const NAME = 'afterspan.telemetry.sampled'
const quiet = { info() {}, warn() {}, error() {} }
const open: TailSamplingProcessor[] = []
afterEach(async () => {
  for (const processor of open.splice(0)) await processor.shutdown()
  vi.useRealTimers()
})

function set(options: Partial<TailSamplingOptions> = {}) {
  const kept: string[] = []
  const next = {
    onStart() {},
    onEnd: (span: { name: string }) => void kept.push(span.name),
    async forceFlush() {},
    async shutdown() {},
  }
  const processor = new TailSamplingProcessor({ next: [next], share: 0, ...options })
  open.push(processor)
  const provider = new TracerProvider({ spanProcessors: [processor] })
  const tracer = provider.getTracer('app')
  const start = (name: string, parent?: Span, more = {}): Span =>
    tracer.startSpan(name, more, parent === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, parent))
  const request = (more = {}) => start('POST', undefined, { kind: SpanKind.SERVER, ...more })
  return { kept, provider, processor, start, request }
}

const fail = (span: Span) => span.setStatus({ code: SpanStatusCode.ERROR })

test('a trace is held until its last span has ended, and kept whole if one failed', () => {
  const { kept, start, request } = set()
  const server = request()
  const task = start('task mail', server)
  const query = start('query', server)
  query.end()
  server.end()
  expect(kept).toEqual([])
  fail(task)
  task.end()
  expect(kept).toEqual(['query', 'POST', 'task mail'])
})

test('one in which nothing happened is let go, and counted', () => {
  const { kept, start, request } = set()
  const before = selfHealth.count(NAME, 'rest')
  const server = request()
  start('query', server).end()
  server.end()
  expect(kept).toEqual([])
  expect(selfHealth.count(NAME, 'rest') - before).toBe(1)
})

test.each([
  ['slow', (server: Span) => server.end(Date.now() + 1_200)],
  ['asked', (server: Span) => void server.setAttribute('sampling.priority', 1).end()],
  ['asked', (server: Span) => void server.setAttribute('afterspan.keep', true).end()],
  ['retried', (server: Span) => void server.setAttribute('task.attempt', 2).end()],
  ['error', (server: Span) => void fail(server).end()],
])('one that is %s is kept', (reason, end) => {
  const { kept, request } = set()
  const before = selfHealth.count(NAME, reason)
  end(request())
  expect(kept).toEqual(['POST'])
  expect(selfHealth.count(NAME, reason) - before).toBe(1)
})

test('keepIf decides too, and harms nobody when it throws', () => {
  const keepIf = (span: { name: string }) => {
    if (span.name === 'bad') throw new Error('no')
    return span.name === 'checkout'
  }
  const { kept, start } = set({ keepIf })
  start('checkout').end()
  start('bad').end()
  start('other').end()
  expect(kept).toEqual(['checkout'])
})

test('the share of the rest is kept, and is the same in every process that sees the trace', () => {
  const one = set({ share: 0.2 })
  const other = set({ share: 0.2 })
  const verdicts = Array.from({ length: 5_000 }, () => {
    const span = one.start('a')
    const before = one.kept.length
    span.end()
    const remote = trace.setSpanContext(ROOT_CONTEXT, { ...span.spanContext(), isRemote: true })
    const seen = other.kept.length
    other.provider.getTracer('x').startSpan('b', {}, remote).end()
    return [one.kept.length - before, other.kept.length - seen]
  })
  expect(verdicts.every(([here, there]) => here === there)).toBe(true)
  expect(one.kept.length / 5_000).toBeGreaterThan(0.17)
  expect(one.kept.length / 5_000).toBeLessThan(0.23)
})

test('traces that are linked are kept together, or dropped together', () => {
  for (const failing of [true, false]) {
    const { kept, start, request } = set()
    const server = request()
    const asked = start('defer report', server)
    const attempt = start('task report', undefined, { root: true, links: [{ context: asked.spanContext() }] })
    asked.addLink({ context: attempt.spanContext() })
    asked.end()
    server.end()
    expect(kept).toEqual([])
    if (failing) fail(attempt)
    attempt.end()
    expect(kept.sort()).toEqual(failing ? ['POST', 'defer report', 'task report'] : [])
  }
})

test('one that is linked to a trace of another process has its share drawn by that one', () => {
  const { kept, start } = set({ share: 0.5 })
  const low = { traceId: `${'0'.repeat(18)}1${'0'.repeat(12)}1`, spanId: '1'.repeat(16), traceFlags: 1, isRemote: true }
  const high = { ...low, traceId: `${'0'.repeat(18)}1${'f'.repeat(13)}` }
  for (let n = 0; n < 50; n++) start('process mail', undefined, { root: true, links: [{ context: low }] }).end()
  expect(kept).toHaveLength(50)
  for (let n = 0; n < 50; n++) start('process mail', undefined, { root: true, links: [{ context: high }] }).end()
  expect(kept).toHaveLength(50)
})

test.each([
  ['fails at first', true],
  ['does not fail', false],
])('a task that waits, with no span open, holds the trace: one that %s', async (_, fails) => {
  const { kept, provider, request } = set()
  const clock = new ControlledClock()
  const options = { tracerProvider: provider, shutdown: false, logger: quiet, concurrency: 1 } as const
  const tasks = new Tasks(options, { clock, random: () => 0.5 })
  const sleep = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve))
  const blocker = tasks.define('blocker', () => sleep(5_000))
  const mail = tasks.define(
    'mail',
    (_payload, { attempt }) => {
      if (attempt === 1 && fails) throw new Error('once')
    },
    { retry: { attempts: 2, initial: 10_000 } },
  )
  blocker.defer()
  await clock.advance(1)
  const server = request()
  const scope = { origin: undefined, spanContext: server.spanContext(), since: 0, response: undefined }
  inScope(scope, () => mail.defer())
  server.end()
  await clock.advance(100)
  // It waits for its slot.
  expect(kept).toEqual([])
  await clock.advance(5_000)
  // And here for its second attempt: what is known so far is not all.
  expect(kept).toEqual([])
  await clock.advance(20_000)
  expect(kept).toEqual(fails ? ['POST', 'task mail', 'task mail'] : [])
  await tasks.close()
})

test('what comes after the verdict follows it, and a failure is seen even so', () => {
  const { kept, start, request } = set()
  const good = request()
  good.end()
  start('late', good).end()
  const bad = start('late failure', good)
  fail(bad)
  bad.end()
  expect(kept).toEqual(['late failure'])
  const failed = request()
  fail(failed)
  failed.end()
  start('late too', failed).end()
  expect(kept).toEqual(['late failure', 'POST', 'late too'])
})

test('a trace that does not end is decided when it is too old', () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  const { kept, start, request } = set({ maxAge: 5_000 })
  const server = request()
  fail(server)
  server.end()
  const forever = request()
  const failed = start('failed', forever)
  fail(failed)
  failed.end()
  expect(kept).toEqual(['POST'])
  vi.advanceTimersByTime(7_000)
  expect(kept).toEqual(['POST', 'failed'])
})

test('10,000 open traces are held, and beyond maxSpans the oldest is decided early and counted', () => {
  const { kept, start, request } = set({ maxSpans: 15_000, slow: 600_000 })
  const before = { evicted: selfHealth.count(NAME, 'evicted'), error: selfHealth.count(NAME, 'error') }
  const servers = Array.from({ length: 10_000 }, () => request())
  for (const server of servers) start('query', server).end()
  expect(kept).toEqual([])
  for (const server of servers) start('more', server).end()
  expect(selfHealth.count(NAME, 'evicted') - before.evicted).toBe(2_500)
  for (const server of servers.slice(9_000)) fail(server)
  for (const server of servers) server.end()
  // All of the thousand that failed, with their two queries each.
  expect(kept.filter((name) => name === 'query')).toHaveLength(1_000)
  expect(selfHealth.count(NAME, 'error') - before.error).toBe(1_000)
})

test('wrong options are told', () => {
  for (const [options, message] of [
    [{ share: 2 }, /`share` to be a number from 0 to 1/],
    [{ slow: -1 }, /`slow`/],
    [{ maxSpans: 0 }, /`maxSpans`/],
    [{ keepIf: 'yes' }, /`keepIf` to be a function/],
    [{ shares: 0.1 }, /Unknown option `options.shares`/],
  ] as const) {
    expect(() => new TailSamplingProcessor({ next: [], ...options } as never)).toThrow(message)
  }
})
