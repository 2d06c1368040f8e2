import { Abandon, RetryAfter } from 'afterspan'
import { createTestTasks } from 'afterspan/testing'
import { expect, test } from 'vitest'

test('a deferred payload runs after the caller has returned, and completes', async () => {
  const tasks = createTestTasks()
  const seen: string[] = []
  const greet = tasks.define('greet', (name: string) => {
    seen.push(name)
  })
  const handle = greet.defer('Ada')
  expect(seen).toEqual([])
  expect(handle.state).toBe('ready')
  expect(await handle.outcome).toBe('completed')
  expect(seen).toEqual(['Ada'])
  expect(handle.state).toBe('completed')
  await expect(handle.accepted).resolves.toBeUndefined()
})

test('failed attempts are made again after a backoff with full jitter, until one succeeds', async () => {
  const tasks = createTestTasks()
  const attempts: number[] = []
  const flaky = tasks.define(
    'flaky',
    (_: string, { attempt }) => {
      attempts.push(attempt)
      if (attempt < 3) throw new TypeError('not yet')
    },
    { retry: { attempts: 5, initial: 200, max: 30_000 } },
  )
  const handle = flaky.defer('x')
  await tasks.clock.turn()
  expect(handle.state).toBe('retrying')
  // Half of 200 ms, since the test's random number is 0.5.
  await tasks.clock.advance(99)
  expect(attempts).toEqual([1])
  await tasks.clock.advance(1)
  expect(attempts).toEqual([1, 2])
  await tasks.clock.advance(199)
  expect(attempts).toEqual([1, 2])
  await tasks.clock.advance(1)
  expect(await handle.outcome).toBe('completed')
  expect(attempts).toEqual([1, 2, 3])
  expect(await tasks.metric('afterspan.task.attempts', { 'task.result': 'error', 'error.type': 'TypeError' })).toBe(2)
  expect(await tasks.histogram('afterspan.task.wait')).toEqual({ count: 3, sum: 0 })
})

test('attempts are siblings, each linked to the one before, the failed ones with status ERROR', async () => {
  const tasks = createTestTasks()
  const flaky = tasks.define(
    'flaky',
    (_: string, { attempt }) => {
      if (attempt < 2) throw new RangeError('out')
    },
    { retry: { attempts: 2 } },
  )
  flaky.defer('x')
  await tasks.settled()
  const [first, second] = tasks.spans('task flaky')
  expect(first!.status).toEqual({ code: 2, message: 'out' })
  expect(first!.attributes).toMatchObject({ 'task.result': 'error', 'error.type': 'RangeError', 'task.attempt': 1 })
  expect(first!.events[0]!.attributes).toMatchObject({ 'exception.type': 'RangeError', 'exception.message': 'out' })
  expect(second!.status.code).toBe(0)
  expect(second!.links.map(({ context }) => context.spanId)).toEqual([first!.spanContext().spanId])
  expect(second!.parentSpanContext).toBeUndefined()
})

test('Abandon fails at once, RetryAfter takes the place of the backoff, retryIf decides', async () => {
  const tasks = createTestTasks({ retry: { attempts: 3, initial: 10_000 } })
  const runs = { gone: 0, busy: 0, picky: 0 }
  const gone = tasks.define('gone', () => {
    runs.gone++
    throw new Abandon('410')
  })
  const busy = tasks.define('busy', (_: string, { attempt }) => {
    runs.busy++
    if (attempt === 1) throw new RetryAfter(50)
  })
  const picky = tasks.define(
    'picky',
    () => {
      runs.picky++
      throw new TypeError()
    },
    { retry: { retryIf: (error) => !(error instanceof TypeError) } },
  )
  const handles = [gone.defer(), busy.defer('x'), picky.defer()]
  await tasks.clock.advance(49)
  expect(runs).toEqual({ gone: 1, busy: 1, picky: 1 })
  await tasks.clock.advance(1)
  expect(runs).toEqual({ gone: 1, busy: 2, picky: 1 })
  expect(await Promise.all(handles.map(({ outcome }) => outcome))).toEqual(['failed', 'completed', 'failed'])
})

test('a timeout aborts the signal, ends the attempt, and shows the handler that runs on as a zombie', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  let release = () => {}
  let reason: unknown
  const slow = tasks.define(
    'slow',
    (_: string, { signal }) =>
      new Promise<void>((resolve) => {
        release = resolve
        signal.addEventListener('abort', () => {
          reason = signal.reason
        })
      }),
    { timeout: 1_000 },
  )
  const handle = slow.defer('x')
  const next = tasks.defer('next', () => {})
  await tasks.clock.advance(1_000)
  expect(await handle.outcome).toBe('failed')
  expect(reason).toMatchObject({ name: 'TimeoutError', code: 'ERR_AFTERSPAN_TIMEOUT' })
  expect(await tasks.metric('afterspan.task.zombies', { 'task.name': 'slow' })).toBe(1)
  expect(await tasks.metric('afterspan.concurrency.used')).toBe(1)
  expect(next.state).toBe('ready')
  release()
  expect(await next.outcome).toBe('completed')
  expect(await tasks.metric('afterspan.task.zombies', { 'task.name': 'slow' })).toBe(0)
  expect(tasks.ledger()).toMatchObject({ deferred: 2, outcomes: { completed: 1, failed: 1 }, zombies: 0 })
})

test('a handler that asks for its signal only after its timeout finds it aborted, for that reason', async () => {
  const tasks = createTestTasks()
  const slow = Promise.withResolvers<void>()
  let reason: unknown
  const handle = tasks
    .define(
      'slow',
      async (_: unknown, context) => {
        await slow.promise
        reason = context.signal.reason
      },
      { timeout: 10 },
    )
    .defer()
  await tasks.clock.advance(10)
  slow.resolve()
  await tasks.clock.turn()
  expect(await handle.outcome).toBe('failed')
  expect(reason).toMatchObject({ code: 'ERR_AFTERSPAN_TIMEOUT' })
})
