import { type HealthReport, health } from 'afterspan/express'
import { createTestTasks, MemoryEngine, type TestTasks } from 'afterspan/testing'
import express from 'express'
import { afterEach, expect, test } from 'vitest'
import { listen, type TestServer } from './server.ts'

let server: TestServer | undefined
afterEach(() => server?.close())

async function report(
  tasks: TestTasks,
  options?: Parameters<typeof health>[1],
): Promise<{ status: number; body: HealthReport }> {
  const app = express()
  app.get('/health/tasks', health(tasks, options))
  await server?.close()
  server = await listen(app)
  const response = await fetch(`${server.url}/health/tasks`)
  return { status: response.status, body: (await response.json()) as HealthReport }
}

test('totals and averages are those of the attempts that ran', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  const durations = [100, 200, 300, 400]
  const work = tasks.define('work', async (ms: number) => {
    await new Promise<void>((resolve) => tasks.clock.after(ms, resolve))
  })
  const fails = tasks.define(
    'fails',
    () => {
      throw new Error('no')
    },
    { retry: { attempts: 2, initial: 0 } },
  )
  for (const ms of durations) work.defer(ms)
  const cancelled = work.defer(1_000)
  cancelled.cancel()
  await tasks.clock.advance(1_000)
  fails.defer()
  await tasks.settled()
  const { status, body } = await report(tasks)
  expect(status).toBe(200)
  expect(body.status).toBe('ok')
  const entry = body.tasks.find(({ name }) => name === 'work')!
  expect(entry).toMatchObject({
    deferred: 5,
    completed: 4,
    failed: 0,
    cancelled: 1,
    running: 0,
    waiting: 0,
    oldestWaiting: null,
    failureRatio: 0,
  })
  expect(entry.duration.count).toBe(4)
  expect(entry.duration.mean).toBeCloseTo(0.25, 10)
  expect(entry.duration.max).toBeCloseTo(0.4, 10)
  expect(entry.duration.p50! / 0.2).toBeCloseTo(1, 1)
  // They waited for 0, 100, 300 and 600 ms.
  expect(entry.wait.mean).toBeCloseTo(0.25, 10)
  const failing = body.tasks.find(({ name }) => name === 'fails')!
  expect(failing).toMatchObject({ deferred: 1, failed: 1, failureRatio: 1, attempts: { error: 2 }, retries: 1 })
  expect(body.total).toMatchObject({ deferred: 6, completed: 4, failed: 1, cancelled: 1 })
  expect(body.total.duration.count).toBe(6)
})

test('a task of which half fails makes it unhealthy, with the reason and 503; five minutes later it is ok again', async () => {
  const tasks = createTestTasks()
  const work = tasks.define('work', (fail: boolean) => {
    if (fail) throw new Error('no')
  })
  for (let index = 0; index < 10; index++) work.defer(index % 2 === 0)
  await tasks.settled()
  const bad = await report(tasks)
  expect(bad.status).toBe(503)
  expect(bad.body.status).toBe('unhealthy')
  expect(bad.body.reasons).toEqual(['work: 50.0 % of 10 failed in the last 5 minutes (limit 50 %)'])
  const lenient = await report(tasks, { failureRatio: { unhealthy: 0.9 } })
  expect([lenient.status, lenient.body.status]).toEqual([200, 'degraded'])
  await tasks.clock.advance(310_000)
  expect((await report(tasks)).body.status).toBe('ok')
})

test('an old ready task, a full queue, a zombie and close each have their reason', async () => {
  const tasks = createTestTasks({ concurrency: 1, queueLimit: 2 })
  const stuck = tasks.define('stuck', () => new Promise(() => {}), { timeout: 10_000 })
  for (let index = 0; index < 5; index++) stuck.defer()
  await tasks.clock.advance(40_000)
  const { body } = await report(tasks)
  expect(body.reasons).toEqual([
    'stuck: the oldest task has been ready for 40.0 s (limit 30 s)',
    '2 tasks wait of at most 2',
    '1 handlers run on after their timeout or cancellation and keep their slots',
  ])
  expect(body.total.dropped).toBe(2)
  void tasks.close({ grace: 0 })
  await tasks.clock.advance(0)
  const closed = await report(tasks)
  expect(closed.status).toBe(503)
  expect(closed.body.reasons[0]).toBe('no new tasks are accepted: closed')
})

test('wrong options are an error that names them', () => {
  const tasks = createTestTasks()
  expect(() => health(tasks, { minimum: -1 })).toThrow(
    'Expected `minimum` to be a number from 1 to Infinity, got `-1` (number).',
  )
  expect(() => health({} as never)).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_TASKS' }))
})

test('an engine that does not answer, or in which tasks wait for too long, degrades, and never more', async () => {
  const tasks = createTestTasks()
  const engine = new MemoryEngine(tasks.clock)
  const mail = tasks.define('mail', () => {}, { engine })
  expect((await report(tasks)).body).toMatchObject({ status: 'ok', engines: [{ task: 'mail', up: null, holds: null }] })
  await mail.defer({}).accepted
  await tasks.clock.advance(1_000)
  expect((await report(tasks)).body).toMatchObject({ status: 'ok', engines: [{ up: true, holds: { waiting: 1 } }] })
  await tasks.clock.advance(500_000)
  const { status, body } = await report(tasks)
  expect(status).toBe(200)
  expect(body.status).toBe('degraded')
  expect(body.reasons).toEqual([
    expect.stringMatching(/^mail: the oldest task in memory has been waiting for 50\d\.0 s/),
  ])
  engine.down = 'silent'
  await tasks.clock.advance(60_000)
  expect((await report(tasks)).body).toMatchObject({ status: 'degraded', reasons: ['mail: memory does not answer'] })
})
