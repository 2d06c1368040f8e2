import { imbalance, RetryAfter } from 'afterspan'
import { createTestTasks } from 'afterspan/testing'
import { expect, test } from 'vitest'

const noop = () => {}

/** A handler whose runs wait to be let go. */
function gate() {
  const open: (() => void)[] = []
  return {
    run: () => new Promise<void>((resolve) => open.push(resolve)),
    release: () => {
      for (const resolve of open.splice(0)) resolve()
    },
    open,
  }
}

test('priorities high, medium, low start in that order, each first in, first out; the deferral may name its own', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  const order: string[] = []
  const note = tasks.define('note', (name: string) => {
    order.push(name)
  })
  const blocked = gate()
  tasks.defer('blocker', blocked.run)
  await tasks.clock.turn()
  for (const priority of ['low', 'medium', 'high', 'low', 'medium', 'high'] as const)
    note.defer(`${priority} ${order.length}${Math.random()}`, { priority })
  blocked.release()
  await tasks.settled()
  expect(order.map((name) => name.split(' ')[0])).toEqual(['high', 'high', 'medium', 'medium', 'low', 'low'])
})

test('a task at its own concurrency holds up no other task', async () => {
  const tasks = createTestTasks({ concurrency: 4 })
  const slow = gate()
  const narrow = tasks.define('narrow', slow.run, { concurrency: 1, priority: 'high' })
  for (let index = 0; index < 10; index++) narrow.defer()
  const other = tasks.defer('other', noop, { priority: 'low' })
  expect(await other.outcome).toBe('completed')
  expect(slow.open).toHaveLength(1)
  expect(await tasks.metric('afterspan.concurrency.used')).toBe(1)
})

test('a limit of 16 does not throttle trivial async tasks to 16 a turn of the event loop', async () => {
  const tasks = createTestTasks({ concurrency: 16, realTime: true })
  const trivial = tasks.define('trivial', async () => {})
  let done = 0
  tasks.on('finished', () => {
    done++
  })
  for (let index = 0; index < 2_000; index++) trivial.defer()
  let most = 0
  while (done < 2_000) {
    const before = done
    await new Promise((resolve) => setImmediate(resolve))
    most = Math.max(most, done - before)
  }
  expect(most).toBeGreaterThan(32)
})

test('a burst of starts yields to the event loop after a few milliseconds', async () => {
  const tasks = createTestTasks({ concurrency: 1_000, realTime: true })
  const spin = () => {
    const until = performance.now() + 1
    while (performance.now() < until);
  }
  for (let index = 0; index < 50; index++) tasks.defer('spin', spin)
  let done = 0
  tasks.on('finished', () => {
    done++
  })
  await new Promise((resolve) => setImmediate(resolve))
  expect(done).toBeGreaterThan(0)
  expect(done).toBeLessThan(15)
  await tasks.settled()
  expect(done).toBe(50)
})

test('cancel works by handle in every state, and by signal; its reason reaches the handler', async () => {
  const tasks = createTestTasks({ concurrency: 1, retry: { attempts: 2, initial: 1_000 } })
  let reason: unknown
  const running = tasks.defer(
    'running',
    ({ signal }) =>
      new Promise((_, reject) =>
        signal.addEventListener('abort', () => {
          reason = signal.reason
          reject(signal.reason)
        }),
      ),
  )
  await tasks.clock.turn()
  const controller = new AbortController()
  const ready = tasks.defer('ready', noop)
  const delayed = tasks.defer('delayed', noop, { delay: 100, signal: controller.signal })
  const aborted = tasks.defer('aborted', noop, { signal: AbortSignal.abort() })
  expect([ready.state, delayed.state, aborted.state, running.state]).toEqual([
    'ready',
    'delayed',
    'cancelled',
    'running',
  ])
  expect(ready.cancel()).toBe(true)
  controller.abort('enough')
  expect(running.cancel('stop it')).toBe(true)
  expect(reason).toMatchObject({ code: 'ERR_AFTERSPAN_CANCELLED', cause: 'stop it' })
  expect(running.cancel()).toBe(false)
  await tasks.settled()
  const retrying = tasks.defer('retrying', () => {
    throw new Error('no')
  })
  await tasks.clock.turn()
  expect(retrying.state).toBe('retrying')
  retrying.cancel()
  expect(await Promise.all([running, ready, delayed, aborted, retrying].map(({ outcome }) => outcome))).toEqual(
    Array(5).fill('cancelled'),
  )
  expect(await tasks.metric('afterspan.task.attempts', { 'task.result': 'cancelled' })).toBe(1)
  expect(tasks.ledger().zombies).toBe(0)
})

test('a long-lived signal keeps no listener of a task that has ended', async () => {
  const tasks = createTestTasks()
  const { signal } = new AbortController()
  let listeners = 0
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = ((...args: Parameters<typeof add>) => {
    listeners++
    add(...args)
  }) as typeof add
  signal.removeEventListener = ((...args: Parameters<typeof remove>) => {
    listeners--
    remove(...args)
  }) as typeof remove
  for (let index = 0; index < 10; index++) tasks.defer('work', noop, { signal })
  expect(listeners).toBe(10)
  await tasks.settled()
  expect(listeners).toBe(0)
})

test('a second deferral with the key of an unfinished one gets its handle, and is counted; a later one runs anew', async () => {
  const tasks = createTestTasks()
  let runs = 0
  const fill = tasks.define('fill', () => {
    runs++
  })
  const first = fill.defer(undefined, { key: 'user 7' })
  expect(fill.defer(undefined, { key: 'user 7' })).toBe(first)
  expect(fill.defer(undefined, { key: 'user 8' })).not.toBe(first)
  await tasks.settled()
  expect(fill.defer(undefined, { key: 'user 7' })).not.toBe(first)
  await tasks.settled()
  expect(runs).toBe(3)
  expect(tasks.ledger().deferred).toBe(3)
  expect(await tasks.metric('afterspan.task.deduplicated', { 'task.name': 'fill' })).toBe(1)
})

test('beyond queueLimit a deferral is dropped: it does not throw, its accepted rejects, it is logged and counted', async () => {
  const lines: string[] = []
  const logger = { info: noop, error: noop, warn: (line: string) => lines.push(line) }
  const tasks = createTestTasks({ concurrency: 1, queueLimit: 2, logger })
  const blocked = gate()
  tasks.defer('work', blocked.run)
  await tasks.clock.turn()
  const handles = Array.from({ length: 4 }, () => tasks.defer('work', noop))
  expect(handles.map(({ state }) => state)).toEqual(['ready', 'ready', 'dropped', 'dropped'])
  await expect(handles[3]!.accepted).rejects.toMatchObject({ code: 'ERR_AFTERSPAN_QUEUE_FULL' })
  expect(await handles[3]!.outcome).toBe('dropped')
  expect(lines).toEqual(['afterspan: task "work" dropped: AfterspanError: Dropped: queueLimit (2) tasks are waiting.'])
  blocked.release()
  await tasks.settled()
  expect(await tasks.metric('afterspan.task.finished', { 'task.outcome': 'dropped' })).toBe(2)
})

test('the retry budget keeps an outage from being multiplied', async () => {
  const tasks = createTestTasks({
    retry: { attempts: 5, initial: 0, budget: { ratio: 0.2, perSecond: 0, reserve: 10 } },
  })
  let runs = 0
  const down = tasks.define('down', () => {
    runs++
    throw new Error('outage')
  })
  for (let index = 0; index < 1_000; index++) down.defer()
  await tasks.settled()
  // 1,000 first attempts earn a fifth of themselves, but no more is saved up than 10.
  expect(runs).toBeGreaterThanOrEqual(1_010)
  expect(runs).toBeLessThanOrEqual(1_210)
  const refused = (await tasks.metric('afterspan.task.retries.refused', { 'task.name': 'down' }))!
  expect(refused).toBeGreaterThan(0)
  const unlimited = tasks.define(
    'unlimited',
    () => {
      throw new Error('outage')
    },
    { retry: { budget: false } },
  )
  for (let index = 0; index < 100; index++) unlimited.defer()
  await tasks.settled()
  expect(await tasks.metric('afterspan.task.attempts', { 'task.name': 'unlimited', 'task.result': 'error' })).toBe(500)
})

test('a retrying task holds no slot', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  const later = tasks.define(
    'later',
    (_: unknown, { attempt }) => {
      if (attempt === 1) throw new RetryAfter(60_000)
    },
    { retry: { attempts: 2 } },
  )
  later.defer()
  await tasks.clock.turn()
  expect(await tasks.defer('next', noop).outcome).toBe('completed')
  expect(await tasks.metric('afterspan.task.pending', { 'task.state': 'retrying' })).toBe(1)
})

test('close cancels what waits, lets what runs finish within the grace, cancels the rest, and tells the ledger in one line', async () => {
  const lines: string[] = []
  const tasks = createTestTasks({
    concurrency: 2,
    logger: { info: (line) => lines.push(line), warn: noop, error: noop },
  })
  const quick = gate()
  const stubborn = gate()
  const handles = [
    tasks.defer('quick', quick.run),
    tasks.defer('stubborn', stubborn.run),
    tasks.defer('ready', noop),
    tasks.defer('delayed', noop, { delay: 50 }),
  ]
  await tasks.clock.turn()
  const closed = tasks.close({ grace: 1_000 })
  expect(tasks.close()).toBe(closed)
  expect(handles.map(({ state }) => state)).toEqual(['running', 'running', 'cancelled', 'cancelled'])
  expect(tasks.defer('late', noop).state).toBe('dropped')
  quick.release()
  await tasks.clock.advance(1_000)
  const ledger = await closed
  expect(ledger).toMatchObject({ deferred: 5, outcomes: { completed: 1, cancelled: 3, dropped: 1 }, zombies: 1 })
  expect(imbalance(ledger)).toBe(0)
  expect(lines).toEqual([
    'afterspan: closed; 5 deferred = 1 completed, 0 failed, 3 cancelled, 1 dropped, 0 handed off; 1 handlers still running',
  ])
})

test('close ends as soon as nothing runs, and a failed attempt is not retried into the grace', async () => {
  const tasks = createTestTasks({ retry: { attempts: 3 } })
  const failing = Promise.withResolvers<void>()
  const handle = tasks.defer('work', () => failing.promise)
  await tasks.clock.turn()
  const closed = tasks.close({ grace: 60_000 })
  failing.reject(new Error('no'))
  await closed
  expect(await handle.outcome).toBe('cancelled')
})

test('close with drain starts what waits as long as the grace lasts, and cancels at once what cannot start in it', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  const order: string[] = []
  for (const name of ['a', 'b', 'c'])
    tasks.defer(name, () => {
      order.push(name)
    })
  const soon = tasks.defer(
    'soon',
    () => {
      order.push('soon')
    },
    { delay: 500 },
  )
  const late = tasks.defer('late', noop, { delay: 5_000 })
  const closed = tasks.close({ grace: 1_000, drain: true })
  expect(late.state).toBe('cancelled')
  expect(tasks.snapshot().state).toBe('draining')
  expect(tasks.defer('refused', noop).state).toBe('dropped')
  await tasks.clock.advance(500)
  const ledger = await closed
  expect(order).toEqual(['a', 'b', 'c', 'soon'])
  expect(await soon.outcome).toBe('completed')
  expect(ledger.outcomes).toMatchObject({ completed: 4, cancelled: 1, dropped: 1 })
})

test('events tell a deferral’s life in order', async () => {
  const tasks = createTestTasks({ retry: { attempts: 2, initial: 100 } })
  const seen: unknown[] = []
  for (const event of ['deferred', 'started', 'ended', 'retrying', 'finished'] as const) {
    tasks.on(event, (detail) => seen.push([event, 'attempt' in detail ? detail.attempt : undefined]))
  }
  const stop = tasks.on('finished', () => seen.push('not any more'))
  stop()
  const work = tasks.define('work', (_: unknown, { attempt }) => {
    if (attempt === 1) throw new Error('no')
  })
  work.defer()
  await tasks.settled()
  expect(seen).toEqual([
    ['deferred', undefined],
    ['started', 1],
    ['ended', 1],
    ['retrying', 1],
    ['started', 2],
    ['ended', 2],
    ['finished', undefined],
  ])
  expect(() => tasks.on('nothing' as never, noop)).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_EVENT' }))
})

test('failures are logged, at most one line per task in ten seconds, with the number left out', async () => {
  const lines: string[] = []
  const tasks = createTestTasks({ logger: { info: noop, error: noop, warn: (line) => lines.push(line) } })
  const fails = tasks.define('fails', () => {
    throw new RangeError('too far')
  })
  for (let index = 0; index < 5; index++) fails.defer()
  await tasks.settled()
  await tasks.clock.advance(10_000)
  fails.defer()
  await tasks.settled()
  expect(lines).toEqual([
    'afterspan: task "fails" failed: RangeError: too far',
    'afterspan: task "fails" failed: RangeError: too far (and 4 more since the last line)',
  ])
})

test('a one-off with the name of a defined task runs by its options; define after a one-off takes the name over', async () => {
  const tasks = createTestTasks()
  const early = tasks.defer('shared', noop)
  const shared = tasks.define(
    'shared',
    () => {
      throw new Error('no')
    },
    { retry: { attempts: 3, initial: 0 } },
  )
  shared.defer()
  await tasks.settled()
  expect(early.task).toBe('shared')
  expect(await tasks.metric('afterspan.task.attempts', { 'task.name': 'shared' })).toBe(4)
  expect(tasks.snapshot().tasks).toHaveLength(1)
})

test('a handle that is kept does not keep the payload', async () => {
  const { setFlagsFromString } = await import('node:v8')
  const { runInNewContext } = await import('node:vm')
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const tasks = createTestTasks()
  const work = tasks.define('work', (_: object) => {})
  let collected = false
  const registry = new FinalizationRegistry(() => {
    collected = true
  })
  const deferOne = () => {
    const payload = { image: new Uint8Array(1_000) }
    registry.register(payload, undefined)
    return work.defer(payload)
  }
  const handle = deferOne()
  await tasks.settled()
  for (let round = 0; round < 20 && !collected; round++) {
    gc()
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  expect(collected).toBe(true)
  expect(handle.state).toBe('completed')
})
