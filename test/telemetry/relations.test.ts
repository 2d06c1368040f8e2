import { context, trace } from '@opentelemetry/api'
import { createTestTasks } from 'afterspan/testing'
import { expect, test } from 'vitest'
import { inScope, type Scope } from '../../src/background/scope.ts'

const PARENT = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1, isRemote: true }

/** A request that is over already, so that what is deferred in it starts at once. */
function request(spanContext = PARENT): Scope {
  const origin = { spanContext, method: 'POST', route: '/orders/:id', endedAt: 0 }
  return { origin, spanContext, since: 0, response: undefined }
}

const noop = () => {}
const idsOf = (spans: readonly { spanContext(): { spanId: string } }[]) =>
  spans.map((span) => span.spanContext().spanId)

test('child: one span per attempt under the SERVER span, with all attributes', async () => {
  const tasks = createTestTasks()
  const mail = tasks.define('mail', noop, { priority: 'high' })
  const handle = inScope(request(), () => mail.defer(undefined))
  await tasks.settled()
  const [span] = tasks.spans()
  expect(span!.name).toBe('task mail')
  expect(span!.kind).toBe(0)
  expect(span!.spanContext().traceId).toBe(PARENT.traceId)
  expect(span!.parentSpanContext?.spanId).toBe(PARENT.spanId)
  expect(span!.attributes).toEqual({
    'task.name': 'mail',
    'task.id': handle.id,
    'task.attempt': 1,
    'task.result': 'ok',
    'task.priority': 'high',
    'task.wait': 0,
    'http.route': '/orders/:id',
    'http.request.method': 'POST',
  })
})

test('link: a defer span in the origin’s trace until the start, the attempt a root elsewhere, each linked to the other', async () => {
  const tasks = createTestTasks()
  const report = tasks.define('report', noop)
  inScope(request(), () => report.defer(undefined, { delay: 1_000 }))
  await tasks.clock.advance(999)
  expect(tasks.spans()).toEqual([])
  await tasks.clock.advance(1)
  const [defer] = tasks.spans('defer report')
  const [attempt] = tasks.spans('task report')
  expect(defer!.spanContext().traceId).toBe(PARENT.traceId)
  expect(defer!.parentSpanContext?.spanId).toBe(PARENT.spanId)
  expect(attempt!.spanContext().traceId).not.toBe(PARENT.traceId)
  expect(attempt!.parentSpanContext).toBeUndefined()
  expect(idsOf([defer!])).toEqual(attempt!.links.map((link) => link.context.spanId))
  expect(idsOf([attempt!])).toEqual(defer!.links.map((link) => link.context.spanId))
})

test('link: later attempts are roots too, linked to the defer span and the attempt before, and linked back by a started span', async () => {
  const tasks = createTestTasks()
  const report = tasks.define(
    'report',
    (_: unknown, { attempt }) => {
      if (attempt === 1) throw new Error('no')
    },
    { relation: 'link', retry: { attempts: 2 } },
  )
  inScope(request(), () => report.defer(undefined))
  await tasks.settled()
  const [defer] = tasks.spans('defer report')
  const [first, second] = tasks.spans('task report')
  const [started] = tasks.spans('started report')
  expect(second!.parentSpanContext).toBeUndefined()
  expect(new Set([defer, first, second].map((span) => span!.spanContext().traceId)).size).toBe(3)
  expect(second!.links.map((link) => link.context.spanId)).toEqual(idsOf([defer!, first!]))
  expect(started!.spanContext().traceId).toBe(PARENT.traceId)
  expect(started!.parentSpanContext?.spanId).toBe(PARENT.spanId)
  expect(started!.links.map((link) => link.context.spanId)).toEqual(idsOf([second!]))
})

test('link: a start more than 60 s away ends the defer span at once, and a started span brings the link back', async () => {
  const tasks = createTestTasks()
  const nightly = tasks.define('nightly', noop)
  inScope(request(), () => nightly.defer(undefined, { delay: 60_001 }))
  expect(tasks.spans().map(({ name }) => name)).toEqual(['defer nightly'])
  await tasks.clock.advance(60_001)
  const [started] = tasks.spans('started nightly')
  expect(started!.links.map((link) => link.context.spanId)).toEqual(idsOf(tasks.spans('task nightly')))
})

test('link: a defer span does not stay open for more than 60 s when the queue is long', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  let release = noop
  tasks.defer(
    'blocker',
    () =>
      new Promise<void>((resolve) => {
        release = resolve
      }),
  )
  await tasks.clock.turn()
  const waits = tasks.define('waits', noop, { relation: 'link' })
  inScope(request(), () => waits.defer(undefined))
  await tasks.clock.advance(30_000)
  inScope(request(), () => waits.defer(undefined))
  await tasks.clock.advance(30_000)
  expect(tasks.spans('defer waits')).toHaveLength(1)
  await tasks.clock.advance(30_000)
  expect(tasks.spans('defer waits')).toHaveLength(2)
  release()
  await tasks.settled()
  expect(tasks.spans('started waits')).toHaveLength(2)
})

test('link: the defer span of a task that never starts ends with its outcome', async () => {
  const tasks = createTestTasks()
  const report = tasks.define('report', noop)
  inScope(request(), () => report.defer(undefined, { delay: 1_000 })).cancel()
  expect(tasks.spans()[0]!.attributes['task.outcome']).toBe('cancelled')
})

test('none: a trace of its own, without links', async () => {
  const tasks = createTestTasks()
  inScope(request(), () => tasks.defer('own', noop, { relation: 'none' }))
  await tasks.settled()
  const [span] = tasks.spans()
  expect(tasks.spans()).toHaveLength(1)
  expect(span!.parentSpanContext).toBeUndefined()
  expect(span!.spanContext().traceId).not.toBe(PARENT.traceId)
  expect(span!.links).toEqual([])
})

test('a task of an unsampled request is not sampled, and counted all the same', async () => {
  const tasks = createTestTasks()
  inScope(request({ ...PARENT, traceFlags: 0 }), () => tasks.defer('quiet', noop))
  await tasks.settled()
  expect(tasks.spans()).toEqual([])
  expect(await tasks.metric('afterspan.task.duration', { 'task.name': 'quiet' })).toBe(1)
})

test('outside a request a task hangs on the active span', async () => {
  const tasks = createTestTasks()
  context.with(trace.setSpanContext(context.active(), PARENT), () => tasks.defer('noted', noop))
  // Without a context manager the API has no active context; with one, the parent is the active span.
  await tasks.settled()
  expect(tasks.spans()).toHaveLength(1)
})

test('tracked work has the spans and metrics of a task and no slot', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  const work = Promise.withResolvers<void>()
  const handle = inScope(request(), () => tasks.track('cache fill', work.promise))
  expect(handle.state).toBe('running')
  expect(tasks.snapshot().concurrency.used).toBe(0)
  await tasks.clock.advance(250)
  work.reject(new TypeError('gone'))
  expect(await handle.outcome).toBe('failed')
  const [span] = tasks.spans('task cache fill')
  expect(span!.parentSpanContext?.spanId).toBe(PARENT.spanId)
  expect(span!.status.code).toBe(2)
  expect(await tasks.histogram('afterspan.task.duration', { 'task.result': 'error' })).toEqual({ count: 1, sum: 0.25 })
})
