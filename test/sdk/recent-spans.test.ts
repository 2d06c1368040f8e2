import { ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import { RecentSpans, type RecentSpansOptions } from 'afterspan/sdk'
import { afterEach, expect, test } from 'vitest'
import { recentTraces } from '../../src/telemetry/recent-traces.ts'
import { traceHolds } from '../../src/telemetry/trace-holds.ts'

const open: RecentSpans[] = []
afterEach(async () => {
  for (const spans of open.splice(0)) await spans.shutdown()
})

function set(options: RecentSpansOptions = {}, started = true) {
  const spans = new RecentSpans(options)
  open.push(spans)
  if (started) spans.start()
  const tracer = new TracerProvider({ spanProcessors: [spans] }).getTracer('app')
  const start = (name: string, parent?: Span, more = {}): Span =>
    tracer.startSpan(name, more, parent === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, parent))
  const id = (span: Span) => span.spanContext().traceId
  const request = (more = {}) => start('POST', undefined, { kind: SpanKind.SERVER, ...more })
  const fail = (span: Span, message = 'no') => {
    span.setStatus({ code: SpanStatusCode.ERROR, message })
    span.end()
  }
  /** Ids of all traces that are kept, the oldest first. */
  const kept = () =>
    spans
      .find({}, undefined, 1e6)
      .traces.map(({ traceId }) => traceId)
      .reverse()
  return { spans, start, id, request, fail, kept }
}

test('nothing is kept until somebody wants to look', () => {
  const { spans, start, kept } = set({}, false)
  start('before').end()
  expect(kept()).toEqual([])
  recentTraces.want()
  start('after').end()
  expect(kept()).toHaveLength(1)
  expect(recentTraces.source).toBe(spans)
  // Also where the processor is made after the page was mounted.
  const later = set({}, false)
  later.start('later').end()
  expect(later.kept()).toHaveLength(1)
})

test('a request and its background work are one, with what is late, and what has not ended', () => {
  const { spans, start, id, request, fail } = set()
  const server = request({ attributes: { 'http.route': '/orders' } })
  const child = start('task mail', server)
  const defer = start('defer report', server)
  const linked = start('task report', undefined, { links: [{ context: defer.spanContext() }] })
  defer.addLink({ context: linked.spanContext() })
  defer.end()
  server.end()
  fail(child)
  const [own, other, ...more] = spans.get(id(server))
  expect(more).toEqual([])
  expect(own!.spans.map(({ name }) => name)).toEqual(['defer report', 'POST', 'task mail'])
  expect(own!.spans[2]).toMatchObject({ error: 'no', parent: server.spanContext().spanId })
  expect(own!.missing).toBe(0)
  expect(other!.spans).toMatchObject([{ name: 'task report', end: undefined }])
  linked.end()
  expect(spans.get(id(server)).map(({ traceId }) => traceId)).toEqual([id(server), id(linked)])
  expect(spans.get(id(linked)).map(({ traceId }) => traceId)).toEqual([id(linked), id(server)])
  const late = start('late child', child)
  expect(spans.get(id(server))[0]!.spans.at(-1)).toMatchObject({ name: 'late child', end: undefined })
  late.end()
  expect(spans.get(id(server))[0]!.spans.at(-1)!.end).toBeTypeOf('number')
  expect(spans.get('0'.repeat(32))).toEqual([])
})

test('it is found by trace, id, task, route, error, and failure, the latest first, page by page', () => {
  const { spans, start, id, request, fail } = set()
  const made = Array.from({ length: 10 }, (_, index) => {
    const server = request({ attributes: { 'http.route': index % 2 === 0 ? '/even' : '/odd' } })
    const task = start('task', server, { attributes: { 'task.name': `work-${index}`, 'task.id': `id-${index}` } })
    if (index === 3) {
      task.recordException({ name: 'TypeError', message: 'Cannot read PROPERTY of undefined' })
      task.setAttribute('error.type', 'TypeError')
      fail(task, '')
    } else task.end()
    server.end()
    return id(server)
  })
  const find = (query: Parameters<RecentSpans['find']>[0]) =>
    spans.find(query, undefined, 100).traces.map(({ traceId }) => traceId)
  expect(find({})).toEqual(made.toReversed())
  expect(find({ trace: made[4]!.slice(0, 9) })).toEqual([made[4]])
  expect(find({ id: 'id-5' })).toEqual([made[5]])
  expect(find({ task: 'work-6' })).toEqual([made[6]])
  expect(find({ route: '/odd' })).toHaveLength(5)
  expect(find({ error: 'typeerror' })).toEqual([made[3]])
  expect(find({ error: 'read property' })).toEqual([made[3]])
  expect(find({ failed: true })).toEqual([made[3]])
  expect(find({ route: '/odd', task: 'work-6' })).toEqual([])
  expect(find({ task: '__proto__' })).toEqual([])
  const paged: string[] = []
  let after: string | undefined
  do {
    const page = spans.find({ route: '/even' }, after, 2)
    paged.push(...page.traces.map(({ traceId }) => traceId))
    after = page.next
  } while (after !== undefined)
  expect(paged).toEqual(find({ route: '/even' }))
  expect(spans.find({}, 'nonsense', 2).traces).toEqual([])
})

test('memory is bounded; failures and slow ones stay longest, and what is linked to them; the latest are always there', () => {
  const { spans, start, id, request, fail, kept } = set({ maxBytes: 200_000, slow: 500 })
  const ordinary = () => {
    const server = request()
    server.end()
    return id(server)
  }
  const origin = request()
  origin.end()
  const failed = start('task', undefined, { links: [{ context: origin.spanContext() }] })
  fail(failed)
  const slow = request({ startTime: Date.now() - 1_000 })
  slow.end()
  for (let i = 0; i < 5_000; i++) ordinary()
  const { bytes, limit } = spans.kept()
  expect(bytes).toBeLessThanOrEqual(limit)
  expect(kept().slice(0, 3)).toEqual([id(origin), id(failed), id(slow)])
  expect(kept().length).toBeGreaterThan(50)
  // Many failures push out older ones, and still leave a quarter for what is ordinary.
  for (let i = 0; i < 5_000; i++) {
    fail(request())
    if (i % 2 === 0) ordinary()
  }
  expect(spans.kept().bytes).toBeLessThanOrEqual(limit)
  expect(kept()).not.toContain(id(failed))
  const calm = spans
    .find({}, undefined, 1e6)
    .traces.filter(({ spans }) => spans.every(({ error }) => error === undefined))
  expect(calm.length).toBeGreaterThan(50)
})

test('of many in which nothing happened only some are kept; one that fails is kept whole, with its linked traces, however late', () => {
  const { spans, start, id, request, fail, kept } = set()
  const origins: Span[] = []
  for (let i = 0; i < 3_000; i++) {
    const server = request()
    // A task waits: between two attempts nothing of the trace is open.
    traceHolds.hold(id(server))
    start('query', server).end()
    const linked = start('task', undefined, { links: [{ context: server.spanContext() }] })
    server.end()
    linked.end()
    origins.push(server)
  }
  // Nothing is decided, and all of it can be looked at.
  expect(spans.kept().traces).toBe(0)
  expect(spans.get(id(origins[2_999]!)).flatMap(({ spans }) => spans)).toHaveLength(3)
  expect(spans.find({ trace: id(origins[7]!) }, undefined, 10).traces).toHaveLength(1)
  const last = origins.at(-1)!
  fail(start('task, second attempt', last))
  for (const origin of origins) traceHolds.release(id(origin))
  expect(kept()).toContain(id(last))
  expect(
    spans
      .get(id(last))
      .flatMap(({ spans }) => spans)
      .map(({ name }) => name)
      .sort(),
  ).toEqual(['POST', 'query', 'task', 'task, second attempt'])
  // Whole groups: a request that is kept has its task.
  const sizes = new Set(kept().map((traceId) => spans.get(traceId).flatMap(({ spans }) => spans).length))
  expect([...sizes].sort()).toEqual([3, 4])
  expect(spans.kept().traces).toBeLessThan(1_200)
  expect(spans.kept().traces).toBeGreaterThan(900)
})

test('requests for the page itself are not among them, also while they are open', () => {
  const { spans, id, request, fail, kept } = set()
  const own = [request({ attributes: { 'afterspan.dashboard': true } }), request()]
  own[1]!.setAttribute('afterspan.dashboard', true)
  expect(own.map((span) => spans.get(id(span)))).toEqual([[], []])
  expect(spans.find({}, undefined, 10).traces).toEqual([])
  own[0]!.end()
  fail(own[1]!)
  expect(kept()).toEqual([])
})

test('what comes late of a trace that was let go is let go too, unless it failed', () => {
  const { spans, start, id, request, fail, kept } = set()
  const last = Array.from({ length: 1_000 }, () => {
    const server = request()
    server.end()
    return server
  }).at(-1)!
  expect(kept()).not.toContain(id(last))
  start('late', last).end()
  expect(spans.get(id(last))).toEqual([])
  fail(start('late and failed', last))
  expect(spans.get(id(last))).toMatchObject([{ missing: 1, spans: [{ name: 'late and failed' }] }])
})

test('one trace with endless spans keeps its first, and says how many are missing', () => {
  const { spans, start, id, request } = set()
  const server = request()
  for (let i = 0; i < 800; i++) start('query', server).end()
  server.end()
  const [{ spans: kept, missing } = { spans: [], missing: 0 }] = spans.get(id(server))
  expect(kept).toHaveLength(501)
  expect(kept.at(-1)!.name).toBe('POST')
  expect(missing).toBe(300)
})

test('a client that sends one trace id with all its requests fills no more than one trace', () => {
  const { spans, id, start } = set({ maxBytes: 1_000_000 })
  const remote = trace.wrapSpanContext({
    traceId: 'a'.repeat(32),
    spanId: 'b'.repeat(16),
    traceFlags: 1,
    isRemote: true,
  })
  const requests = Array.from({ length: 3_000 }, () => start('POST', remote, { kind: SpanKind.SERVER }))
  for (const request of requests) request.end()
  expect(id(requests[0]!)).toBe('a'.repeat(32))
  expect(spans.kept()).toMatchObject({ traces: 1, spans: 550 })
  expect(spans.get('a'.repeat(32))[0]!.missing).toBe(2_450)
})

test('a trace that was let go and goes on says that something is missing', () => {
  const { spans, start, id, request } = set({ maxBytes: 100_000 })
  const server = request()
  server.end()
  for (let i = 0; i < 1_000; i++) request().end()
  expect(spans.get(id(server))).toEqual([])
  start('late', server).end()
  expect(spans.get(id(server))[0]).toMatchObject({ missing: 1, spans: [{ name: 'late' }] })
})

test('hostile attributes, names and events are cut, well-formed and plain', () => {
  const { spans, start, id } = set()
  const huge = 'x'.repeat(10_000_000)
  const span = start(`${huge}\ud800`, undefined, {
    attributes: {
      __proto__: 'polluted',
      constructor: 'x',
      huge,
      lone: '\ud800',
      list: Array.from({ length: 100_000 }, () => 'x'.repeat(100)),
      [huge]: 1,
    },
  })
  for (let i = 0; i < 200; i++) span.setAttribute(`key-${i}`, i)
  for (let i = 0; i < 100; i++) span.addEvent(huge, { 'exception.message': huge, 'exception.stacktrace': huge })
  for (let i = 0; i < 1_000; i++)
    span.addLink({ context: { traceId: i.toString(16).padStart(32, '0'), spanId: '1'.repeat(16), traceFlags: 1 } })
  span.end()
  const kept = spans.get(id(span))[0]!.spans
  const text = JSON.stringify(kept)
  expect(text.length).toBeLessThan(150_000)
  expect(text.isWellFormed()).toBe(true)
  expect(kept[0]!.attributes.length).toBeLessThanOrEqual(64)
  expect(kept[0]!.events.length).toBeLessThanOrEqual(16)
  expect(kept[0]!.links.length).toBeLessThanOrEqual(128)
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})

test('a part of a string that is kept does not keep the whole of it', () => {
  const { start } = set({ maxBytes: 1_000_000 })
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 60; i++) {
    const span = start('big', undefined, { attributes: { big: `${i}${'y'.repeat(1_000_000)}${i}` } })
    span.end()
  }
  globalThis.gc?.()
  // 60 MB, were it so; without --expose-gc there is nothing to tell.
  if (globalThis.gc !== undefined) expect(process.memoryUsage().heapUsed - before).toBeLessThan(20_000_000)
})

test.each([{ maxBytes: 1 }, { slow: -1 }, { slowTask: 'x' }, { other: 1 }])('a wrong option says so: %o', (options) => {
  expect(() => new RecentSpans(options as never)).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_OPTION' }))
})
