import { SpanKind, trace } from '@opentelemetry/api'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import { createTasks } from 'afterspan'
import { middleware } from 'afterspan/express'
import { RecentSpans } from 'afterspan/sdk'
import { createTestTasks, MemoryEngine, type TestTasks } from 'afterspan/testing'
import express from 'express'
import { expect, test } from 'vitest'
import { inScope } from '../../src/background/scope.ts'
import { dashboardOf } from '../../src/dashboard/dashboard.ts'
import type {
  FailedTask,
  Now,
  Page,
  TaskDetail,
  TaskRow,
  TelemetryHealth,
  TraceDetail,
  TraceRow,
  WaitingTask,
} from '../../src/dashboard/protocol.ts'
import { PAGE, type Served, serve, served, tokenOf } from './serving.ts'

async function read<T>({ get }: Served, path: string): Promise<T> {
  const { status, json, text } = await get(`api/${path}`)
  expect(status, text).toBe(200)
  return json() as T
}

const rowOf = ({ tasks }: Now, name: string): TaskRow => tasks.find((task) => task.name === name)!
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

/** A task that takes so many ms, and fails where it is told to. */
function work(tasks: TestTasks) {
  return tasks.define(
    'work',
    async ({ ms = 0, fail = false }: { ms?: number; fail?: boolean }) => {
      if (ms > 0) await new Promise<void>((resolve) => tasks.clock.after(ms, resolve))
      if (fail) throw new TypeError(`failed after ${ms}`)
    },
    { concurrency: 4, timeout: 30_000, retry: { attempts: 2, initial: 100 } },
  )
}

test('the numbers of Now are those of the metrics', async () => {
  const tasks = createTestTasks()
  const served = await serve(tasks)
  const task = work(tasks)
  for (let i = 0; i < 40; i++) task.defer({ ms: 10 + i, fail: i % 4 === 0 })
  await tasks.clock.advance(2_000)
  for (let i = 0; i < 6; i++) task.defer({ ms: 5_000 })
  task.defer({}, { delay: 60_000 })
  await tasks.clock.advance(1_000)
  const now = await read<Now>(served, 'now')
  const row = rowOf(now, 'work')
  const metric = (name: string, attributes = {}) =>
    tasks.metric(`afterspan.task.${name}`, { 'task.name': 'work', ...attributes })
  expect(row.failed).toBe(await metric('finished', { 'task.outcome': 'failed' }))
  expect(sum(row.sparkline.failed)).toBe(await metric('finished', { 'task.outcome': 'failed' }))
  expect(sum(row.sparkline.completed)).toBe(await metric('finished', { 'task.outcome': 'completed' }))
  expect(row.duration.count).toBe(await metric('attempts'))
  expect(row.duration.count).toBe(await metric('duration'))
  expect(row.wait.count).toBe(await metric('wait'))
  expect(row.effect.count).toBe(await metric('effect'))
  expect(row.running).toBe(await metric('pending', { 'task.state': 'running' }))
  expect(row.waiting).toBe((await metric('pending'))! - row.running)
  expect(row.oldest).toBe(await metric('oldest'))
  expect(row.retries).toBe((await metric('attempts'))! - (await metric('finished'))!)
  expect(now.concurrency).toEqual({
    limit: await tasks.metric('afterspan.concurrency.limit'),
    used: await tasks.metric('afterspan.concurrency.used'),
  })
  const figures = tasks.snapshot().tasks[0]!
  expect(row.failureRatio).toBe(figures.failureRatio)
  expect(figures.effect.count).toBe(row.effect.count)
  expect(now.queue).toEqual({ limit: null, waiting: row.waiting })
})

test('quantiles of wait, duration and effect are within 2 % of the true ones', async () => {
  const tasks = createTestTasks({ concurrency: 1_000 })
  const served = await serve(tasks)
  const task = tasks.define('work', (ms: number) => new Promise<void>((resolve) => tasks.clock.after(ms, resolve)))
  const durations = Array.from({ length: 500 }, (_, index) => 1 + ((index * 7919) % 4001))
  for (const ms of durations) task.defer(ms)
  await tasks.clock.advance(5_000)
  const { duration, effect } = rowOf(await read<Now>(served, 'now'), 'work')
  const sorted = durations.toSorted((one, other) => one - other).map((ms) => ms / 1_000)
  for (const { p50, p95, p99, max } of [duration, effect]) {
    for (const [found, q] of [
      [p50, 0.5],
      [p95, 0.95],
      [p99, 0.99],
      [max, 1],
    ] as const) {
      expect(Math.abs(found! / sorted[Math.floor(q * 499)]! - 1)).toBeLessThan(0.02)
    }
  }
})

test('what fails and what is stuck comes first, with the reasons in words; a calm task has none', async () => {
  const tasks = createTestTasks()
  const served = await serve(tasks)
  const task = work(tasks)
  const calm = tasks.define('calm', () => {})
  const stuck = tasks.define('stuck', () => new Promise(() => {}), { concurrency: 1 })
  for (let i = 0; i < 10; i++) {
    calm.defer()
    task.defer({ fail: i < 7 })
  }
  await tasks.clock.advance(1_000)
  const now = await read<Now>(served, 'now')
  expect(now.tasks.map(({ name }) => name)).toEqual(['work', 'calm', 'stuck'])
  expect(now.tasks[0]!.reasons[0]).toBe('70 % failed (7 of 10)')
  expect(now.tasks[0]!.trouble).toBeGreaterThanOrEqual(0.5)
  expect(now.health.status).toBe('unhealthy')
  expect(now.tasks[1]).toMatchObject({ trouble: 0, reasons: [] })
  stuck.defer()
  stuck.defer()
  await tasks.clock.advance(3_600_000)
  const later = await read<Now>(served, 'now')
  expect(later.tasks[0]).toMatchObject({ name: 'stuck', reasons: ['ready for 60 min and not started'] })
  expect(rowOf(later, 'work')).toMatchObject({ trouble: 0, failed: 0, rate: 0 })
})

test('an engine that does not answer, and its mode, stand in the row of its task', async () => {
  const tasks = createTestTasks()
  const served = await serve(tasks)
  const engine = new MemoryEngine(tasks.clock)
  tasks.define('far', () => {}, { engine })
  engine.down = new Error('down')
  await tasks.clock.advance(40_000)
  expect(rowOf(await read<Now>(served, 'now'), 'far')).toMatchObject({
    engine: { system: 'memory', queue: 'q-far', up: false },
    reasons: ['memory does not answer'],
  })
})

test('Task has its options, charts, histogram, errors, attempts and failures', async () => {
  const tasks = createTestTasks()
  const served = await serve(tasks, { actions: true })
  const task = work(tasks)
  const failing = task.defer({ ms: 50, fail: true })
  for (let i = 1; i <= 30; i++) task.defer({ ms: 10 * i })
  await tasks.clock.advance(5_000)
  const detail = await read<TaskDetail>(served, 'tasks/work')
  expect(detail.row.name).toBe('work')
  expect(detail.options).toEqual({ priority: 'medium', concurrency: 4, timeout: 30, attempts: 2, batch: null })
  const { times, ...lines } = detail.charts
  for (const line of [lines.completed, lines.failed, lines.waiting, lines.duration.p50, lines.effect.p99]) {
    expect(line).toHaveLength(times.length)
  }
  expect(lines.completed.at(-1)).toBeGreaterThan(0)
  expect(Math.abs(times.at(-1)! - Date.now() / 1_000)).toBeLessThan(5)
  const { bounds, counts } = detail.histogram
  expect(bounds).toHaveLength(counts.length)
  expect(bounds).toEqual(bounds.toSorted((one, other) => one - other))
  expect(bounds.at(-1)).toBeGreaterThanOrEqual(0.3)
  expect(sum(counts)).toBe(32)
  expect(detail.errors).toMatchObject([
    {
      type: 'TypeError',
      count: 2,
      example: { message: 'failed after 50', id: failing.id, stack: expect.stringContaining('at ') },
    },
  ])
  expect(detail.slowest[0]).toMatchObject({ duration: 0.3, result: 'ok', attempt: 1 })
  expect(detail.latest).toHaveLength(20)
  expect(detail.failed).toMatchObject([
    { id: failing.id, attempts: 2, error: 'TypeError: failed after 50', retryable: true } satisfies Partial<FailedTask>,
  ])
  const hour = await read<TaskDetail>(served, 'tasks/work?range=3600')
  expect(sum(hour.histogram.counts)).toBe(32)
  expect((await served.get('api/tasks/nobody')).status).toBe(404)
  expect((await served.get('api/tasks/work/profile')).status).toBe(404)
})

test('what waited in a part of a chart is what waited at its end, though nothing happened then', async () => {
  const tasks = createTestTasks()
  const served = await serve(tasks)
  const task = tasks.define('work', () => {})
  tasks.pause('work')
  task.defer()
  task.defer()
  await tasks.clock.advance(61_000)
  tasks.resume('work')
  await tasks.settled()
  const { charts } = await read<TaskDetail>(served, 'tasks/work')
  expect(charts.waiting).toEqual([2, 2, 2, 2, 0])
  expect(charts.completed.slice(0, 4)).toEqual([0, 0, 0, 0])
})

test('Queue has what waits page by page, with when it is due', async () => {
  const tasks = createTestTasks()
  const served = await serve(tasks)
  const task = tasks.define('a/b ü', () => {}, { priority: 'low' })
  tasks.pause('a/b ü')
  for (let i = 0; i < 250; i++) task.defer()
  task.defer(undefined, { delay: 10_000 })
  const path = `tasks/${encodeURIComponent('a/b ü')}/waiting`
  const first = await read<Page<WaitingTask>>(served, path)
  expect(first).toMatchObject({ total: 251 })
  expect(first.items).toHaveLength(200)
  expect(first.items[0]).toMatchObject({
    task: 'a/b ü',
    state: 'ready',
    priority: 'low',
    due: null,
    attempt: 1,
    route: null,
  })
  expect(first.items[0]).not.toHaveProperty('payload')
  const second = await read<Page<WaitingTask>>(served, `${path}?after=${first.next}`)
  expect(second.items).toHaveLength(51)
  expect(second.next).toBeNull()
  expect(second.items.at(-1)!.state).toBe('delayed')
  expect(Math.abs(second.items.at(-1)!.due! - Date.now() - 10_000)).toBeLessThan(2_000)
})

const OWN = { 'sec-fetch-site': 'same-origin' }

test('pause, drain, resume, cancel and retry do what they say, and say when they cannot', async () => {
  const tasks = createTestTasks()
  const served = await serve(tasks, { actions: true })
  const headers = { ...OWN, 'x-afterspan-csrf': await tokenOf(served) }
  const act = async (path: string) => (await served.post(`api/${path}`, headers)).status
  const seen: unknown[] = []
  let fails = true
  const task = tasks.define('work', (payload: { n: number }) => {
    seen.push(payload)
    if (fails) throw new Error('no')
  })
  const oneOff = tasks.defer('one-off', () => {
    throw new Error('no')
  })
  tasks.define('far', () => {}, { engine: new MemoryEngine(tasks.clock) })
  const failed = task.defer({ n: 1 })
  await tasks.settled()
  expect(await act('tasks/work/pause')).toBe(204)
  expect(rowOf(await read<Now>(served, 'now'), 'work').mode).toBe('paused')
  const waiting = task.defer({ n: 2 })
  await tasks.clock.turn()
  expect(await act(`waiting/${waiting.id}/cancel`)).toBe(204)
  expect(waiting.state).toBe('cancelled')
  expect(await act(`waiting/${waiting.id}/cancel`)).toBe(404)
  expect(await act('tasks/work/drain')).toBe(204)
  const refused = await served.post(`api/failed/${failed.id}/retry`, headers)
  expect([refused.status, refused.json()]).toMatchObject([409, { code: 'ERR_AFTERSPAN_DRAINING' }])
  expect(await act('tasks/work/resume')).toBe(204)
  fails = false
  expect(await act(`failed/${failed.id}/retry`)).toBe(204)
  await tasks.settled()
  expect(seen).toEqual([{ n: 1 }, { n: 1 }])
  expect(tasks.ledger().outcomes).toMatchObject({ completed: 1, failed: 2, cancelled: 1 })
  expect(await act(`failed/${failed.id}/retry`)).toBe(404)
  expect(await act(`failed/${oneOff.id}/retry`)).toBe(404)
  const onEngine = await served.post('api/tasks/far/pause', headers)
  expect([onEngine.status, onEngine.json()]).toMatchObject([409, { code: 'ERR_AFTERSPAN_ENGINE' }])
  for (const path of [
    'tasks/nobody/pause',
    'tasks/__proto__/pause',
    'tasks/work/explode',
    'waiting/x/cancel',
    'nothing',
  ]) {
    expect(await act(path)).toBe(404)
  }
})

test('without actions no payload of a failed task is kept', async () => {
  const tasks = createTestTasks()
  const served = await serve(tasks)
  const task = tasks.define('work', (_: { secret: string }) => {
    throw new Error('no')
  })
  task.defer({ secret: 'hunter2' })
  await tasks.settled()
  const detail = await read<TaskDetail>(served, 'tasks/work')
  expect(detail.failed).toMatchObject([{ retryable: false }])
  const { kept } = await read<TelemetryHealth>(served, 'telemetry')
  expect(kept.bytes).toBe(0)
})

test('payloads are shown only where that is asked for', async () => {
  const tasks = createTestTasks()
  const task = tasks.define('work', (_: unknown) => {})
  tasks.pause('work')
  task.defer({ secret: 'hunter2' })
  const closed = await serve(tasks, { actions: true })
  const open = await serve(tasks, { payloads: true })
  for (const path of ['now', 'tasks/work', 'tasks/work/waiting', 'traces', 'telemetry']) {
    expect((await closed.get(`api/${path}`)).text).not.toContain('hunter2')
  }
  expect((await read<Page<WaitingTask>>(open, 'tasks/work/waiting')).items[0]!.payload).toBe('{"secret":"hunter2"}')
})

test('a request and its background work are found, opened and retried as one trace', async () => {
  const recent = new RecentSpans()
  const provider = new TracerProvider({ spanProcessors: [recent] })
  const tasks = createTasks({ tracerProvider: provider, shutdown: false, logger: { info() {}, warn() {}, error() {} } })
  let fails = true
  const mail = tasks.define('mail', () => {
    if (fails) throw new TypeError('no such address')
  })
  const app = express()
  app.use('/tasks', dashboardOf(tasks, { actions: true }, PAGE))
  app.use(middleware(tasks))
  const page = await served(app)
  const span = provider.getTracer('http').startSpan('POST', {
    kind: SpanKind.SERVER,
    attributes: { 'http.request.method': 'POST', 'http.route': '/orders', 'http.response.status_code': 202 },
  })
  const waiting: { responseOver(ending: 'finished'): void }[] = []
  const origin = {
    spanContext: span.spanContext(),
    method: 'POST',
    route: '/orders',
    endedAt: undefined as number | undefined,
  }
  const scope = {
    origin,
    spanContext: span.spanContext(),
    since: performance.now(),
    response: { add: (one: never) => void waiting.push(one) },
  }
  const failed = inScope(scope, () => mail.defer())
  const later = inScope(scope, () => mail.defer(undefined, { delay: 20 }))
  span.end()
  origin.endedAt = performance.now()
  await new Promise((resolve) => setTimeout(resolve, 5))
  for (const one of waiting) one.responseOver('finished')
  await Promise.all([failed.outcome, later.outcome])
  const { traceId } = span.spanContext()
  const found = async (query: string) => (await read<Page<TraceRow>>(page, `traces?${query}`)).items
  for (const query of [`trace=${traceId.slice(0, 8)}`, `id=${failed.id}`]) {
    expect(await found(query)).toMatchObject([
      { traceId, title: 'POST /orders', route: '/orders', status: 202, tasks: ['mail'], failed: true },
    ])
  }
  expect((await found('error=SUCH%20ADDRESS')).length).toBe(2)
  expect(await found('task=nobody')).toEqual([])
  const detail = await read<TraceDetail>(page, `traces/${traceId}`)
  expect(detail.missing).toBe(0)
  expect(detail.respondedAt).not.toBeNull()
  expect(detail.spans.map(({ name, late }) => [name, late])).toEqual([
    ['POST', false],
    ['defer mail', true],
    ['task mail', true],
    ['task mail', true],
  ])
  const [server, , child, linked] = detail.spans
  expect(child).toMatchObject({
    traceId,
    parent: server!.spanId,
    error: 'no such address',
    task: { name: 'mail', id: failed.id, attempt: 1, result: 'error' },
  })
  expect(linked).toMatchObject({ parent: null, links: [{ traceId }] })
  expect(linked!.traceId).not.toBe(traceId)
  // A retry is a deferral of its own, linked to the attempt that failed, and no child of the request for the page.
  fails = false
  const token = await tokenOf(page)
  const done = new Promise<void>((resolve) => tasks.on('finished', () => resolve()))
  expect((await page.post(`api/failed/${failed.id}/retry`, { ...OWN, 'x-afterspan-csrf': token })).status).toBe(204)
  await done
  const again = (await read<TraceDetail>(page, `traces/${traceId}`)).spans.filter(({ task }) => task?.result === 'ok')
  expect(again).toHaveLength(1)
  expect(again[0]!.links).toContainEqual({ traceId, spanId: child!.spanId })
  expect(again[0]!.attributes).toContainEqual(['http.route', '/orders'])
  expect((await page.get('api/traces/nothing')).status).toBe(404)
  expect(trace.getActiveSpan()).toBeUndefined()
  await tasks.close({ grace: 0 })
  await recent.shutdown()
})

test('Telemetry health has the ledger and what is kept', async () => {
  const tasks = createTestTasks()
  const served = await serve(tasks, { actions: true })
  tasks
    .define('work', () => {
      throw new Error('no')
    })
    .defer()
  await tasks.settled()
  const health = await read<TelemetryHealth>(served, 'telemetry')
  expect(health.ledger).toEqual({ line: expect.stringContaining('1 deferred = 0 completed, 1 failed'), balanced: true })
  expect(health.caught.map(({ reason }) => reason)).toContain('authorize')
  expect(health.kept.bytes).toBeGreaterThan(0)
  expect(await read<unknown[]>(served, 'undeclared')).toEqual([])
})
