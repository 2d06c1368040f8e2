import { AfterspanError, type BatchContext, type BatchOptions, imbalance } from 'afterspan'
import { createTestTasks, type TestTasks } from 'afterspan/testing'
import { expect, test } from 'vitest'
import { inScope, type Scope } from '../../src/background/scope.ts'

function request(digit: string): Scope {
  const spanContext = { traceId: digit.repeat(32), spanId: digit.repeat(16), traceFlags: 1, isRemote: true }
  const origin = { spanContext, method: 'POST', route: `/r/${digit}`, endedAt: 0 }
  return { origin, spanContext, since: 0, response: undefined }
}

/** A batch task that notes what it is called with. */
function noted(
  tasks: TestTasks,
  options?: BatchOptions<string>,
  run?: (items: string[], context: BatchContext) => unknown,
) {
  const calls: string[][] = []
  const task = tasks.defineBatch<string>(
    'index',
    (items, context) => {
      calls.push(items)
      return run?.(items, context)
    },
    options,
  )
  return { task, calls }
}

test('items gather until there are maxSize of them, or maxWait after the first', async () => {
  const tasks = createTestTasks()
  const { task, calls } = noted(tasks, { maxSize: 3, maxWait: 1_000 })
  for (const item of ['a', 'b', 'c', 'd']) task.defer(item)
  await tasks.clock.turn()
  expect(calls).toEqual([['a', 'b', 'c']])
  await tasks.clock.advance(999)
  task.defer('e')
  expect(calls).toHaveLength(1)
  await tasks.clock.advance(1)
  expect(calls).toEqual([
    ['a', 'b', 'c'],
    ['d', 'e'],
  ])
  expect(tasks.ledger().outcomes.completed).toBe(5)
})

test('wait includes the gathering, and oldest its age', async () => {
  const tasks = createTestTasks()
  const { task } = noted(tasks, { maxSize: 10, maxWait: 1_000 })
  task.defer('a')
  await tasks.clock.advance(400)
  task.defer('b')
  expect(await tasks.metric('afterspan.task.oldest', { 'task.name': 'index' })).toBeCloseTo(0.4)
  expect(await tasks.metric('afterspan.task.pending', { 'task.state': 'ready' })).toBe(2)
  await tasks.settled()
  const { count, sum } = await tasks.histogram('afterspan.task.wait', { 'task.name': 'index' })
  expect(count).toBe(2)
  expect(sum).toBeCloseTo(1 + 0.6)
})

test('a run takes one slot, and what comes while all slots are taken joins the batch that waits', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  const open: (() => void)[] = []
  tasks.defer('blocker', () => new Promise<void>((resolve) => open.push(resolve)))
  await tasks.clock.turn()
  const { task, calls } = noted(
    tasks,
    { maxSize: 4, maxWait: 10 },
    () => new Promise<void>((resolve) => open.push(resolve)),
  )
  task.defer('a')
  await tasks.clock.advance(50)
  task.defer('b')
  expect(calls).toEqual([])
  open.shift()!()
  await tasks.clock.turn()
  expect(calls).toEqual([['a', 'b']])
  expect(tasks.snapshot().concurrency.used).toBe(1)
  expect(tasks.snapshot().total.running).toBe(2)
  open.shift()!()
  await tasks.settled()
  expect(tasks.snapshot().concurrency.used).toBe(0)
})

test('items of other groups and priorities run in batches of their own', async () => {
  const tasks = createTestTasks()
  const { task, calls } = noted(tasks, { maxSize: 10, maxWait: 10, groupBy: (item) => item[0]! })
  for (const item of ['a1', 'b1', 'a2']) task.defer(item)
  task.defer('a3', { priority: 'high' })
  await tasks.settled()
  expect(calls.map((items) => items.join()).sort()).toEqual(['a1,a2', 'a3', 'b1'])
})

test('a groupBy that throws loses nothing: the item runs with those that have no group, and it is counted', async () => {
  const tasks = createTestTasks()
  const before = (await tasks.metric('afterspan.telemetry.caught', { reason: 'group_by' }))!
  const { task, calls } = noted(tasks, {
    maxWait: 10,
    groupBy: () => {
      throw new Error('no group')
    },
  })
  task.defer('a')
  task.defer('b')
  await tasks.settled()
  expect(calls).toEqual([['a', 'b']])
  expect(await tasks.metric('afterspan.telemetry.caught', { reason: 'group_by' })).toBe(before + 2)
})

test('one item fails by context.fail, and it alone is tried again', async () => {
  const tasks = createTestTasks()
  const { task, calls } = noted(
    tasks,
    { maxWait: 10, retry: { attempts: 2, initial: 100 } },
    (items, { fail, items: known }) => {
      items.forEach((item, index) => {
        if (item === 'bad' || (item === 'shy' && known[index]!.attempt === 1)) fail(index, new RangeError(item))
      })
    },
  )
  const [good, bad, shy] = ['good', 'bad', 'shy'].map((item) => task.defer(item))
  await tasks.settled()
  expect(calls[0]).toEqual(['good', 'bad', 'shy'])
  expect(calls.slice(1).flat().sort()).toEqual(['bad', 'shy'])
  expect(await Promise.all([good!.outcome, bad!.outcome, shy!.outcome])).toEqual(['completed', 'failed', 'completed'])
  expect(bad!.error).toBeInstanceOf(RangeError)
  expect(await tasks.metric('afterspan.task.attempts', { 'task.result': 'ok' })).toBe(2)
  expect(await tasks.metric('afterspan.task.attempts', { 'error.type': 'RangeError' })).toBe(3)
})

test('a handler that throws fails all, but those that had failed by themselves keep their own error', async () => {
  const tasks = createTestTasks()
  const { task } = noted(tasks, { maxWait: 0, maxSize: 2 }, (_items, { fail }) => {
    fail(0, new RangeError('mine'))
    throw new TypeError('all')
  })
  const [a, b] = [task.defer('a'), task.defer('b')]
  await tasks.settled()
  expect([(a.error as Error).message, (b.error as Error).message]).toEqual(['mine', 'all'])
})

test.each([-1, 2, 0.5, Number.NaN, '0' as unknown as number])(
  'context.fail(%s) is an error of the handler',
  async (index) => {
    const tasks = createTestTasks()
    const { task } = noted(tasks, { maxSize: 2 }, (_items, { fail }) => fail(index, new Error('x')))
    const handles = [task.defer('a'), task.defer('b')]
    await tasks.settled()
    for (const handle of handles) {
      expect(handle.state).toBe('failed')
      expect(handle.error).toMatchObject({ code: 'ERR_AFTERSPAN_BATCH_ITEM' })
    }
  },
)

test('context.fail after the run has ended changes nothing', async () => {
  const tasks = createTestTasks()
  let later: BatchContext['fail'] | undefined
  const { task } = noted(tasks, { maxSize: 1 }, (_items, { fail }) => {
    later = fail
  })
  const handle = task.defer('a')
  await tasks.settled()
  later!(0, new Error('late'))
  await tasks.clock.turn()
  expect(handle.state).toBe('completed')
  expect(handle.error).toBeUndefined()
})

test('at its timeout all items end, the signal aborts, and the run is one zombie until its handler settles', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  let end = () => {}
  let signal: AbortSignal | undefined
  const { task } = noted(tasks, { maxSize: 2, timeout: 500 }, (_items, context) => {
    signal = context.signal
    return new Promise<void>((resolve) => {
      end = resolve
    })
  })
  const handles = [task.defer('a'), task.defer('b')]
  await tasks.clock.advance(500)
  expect(handles.map(({ state }) => state)).toEqual(['failed', 'failed'])
  expect(signal!.aborted).toBe(true)
  expect(tasks.ledger().zombies).toBe(1)
  expect(await tasks.metric('afterspan.task.zombies')).toBe(1)
  expect(tasks.snapshot().concurrency.used).toBe(1)
  end()
  await tasks.clock.turn()
  expect(tasks.ledger().zombies).toBe(0)
  expect(await tasks.metric('afterspan.task.zombies')).toBe(0)
  expect(tasks.snapshot().concurrency.used).toBe(0)
})

test('cancelling one running item leaves the others alone; cancelling the last aborts the run', async () => {
  const tasks = createTestTasks()
  let end = () => {}
  let signal: AbortSignal | undefined
  const { task } = noted(tasks, { maxSize: 2 }, (_items, context) => {
    signal = context.signal
    return new Promise<void>((resolve) => {
      end = resolve
    })
  })
  const [a, b] = [task.defer('a'), task.defer('b')]
  await tasks.clock.turn()
  expect(a.cancel()).toBe(true)
  expect([a.state, b.state, signal!.aborted]).toEqual(['cancelled', 'running', false])
  expect(tasks.ledger().zombies).toBe(0)
  expect(b.cancel()).toBe(true)
  expect([b.state, signal!.aborted, tasks.ledger().zombies]).toEqual(['cancelled', true, 1])
  end()
  await tasks.clock.turn()
  expect(tasks.ledger().zombies).toBe(0)
})

test('an item that is cancelled while it gathers is not handed over, also when it was the first', async () => {
  const tasks = createTestTasks()
  const { task, calls } = noted(tasks, { maxSize: 10, maxWait: 1_000 })
  const first = task.defer('a')
  await tasks.clock.advance(600)
  task.defer('b')
  const third = task.defer('c')
  first.cancel()
  third.cancel()
  // The second one's own second counts now.
  await tasks.clock.advance(999)
  expect(calls).toEqual([])
  await tasks.clock.advance(1)
  expect(calls).toEqual([['b']])
  const alone = task.defer('d')
  alone.cancel()
  task.defer('e')
  await tasks.settled()
  expect(calls).toEqual([['b'], ['e']])
})

test('the leader of a batch that waits for a slot may be cancelled', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  let release = () => {}
  tasks.defer('blocker', () => new Promise<void>((resolve) => (release = resolve)))
  await tasks.clock.turn()
  const { task, calls } = noted(tasks, { maxSize: 2 })
  const [a] = [task.defer('a'), task.defer('b')]
  await tasks.clock.turn()
  a.cancel()
  release()
  await tasks.settled()
  expect(calls).toEqual([['b']])
})

test.each([true, false])('close({ drain: %s }) hands over what has gathered', async (drain) => {
  const tasks = createTestTasks()
  const { task, calls } = noted(tasks, { maxSize: 10, maxWait: 60_000 })
  const gathered = [task.defer('a'), task.defer('b')]
  await tasks.clock.turn()
  const ledger = await tasks.close({ drain })
  expect(calls).toEqual([['a', 'b']])
  expect(await Promise.all(gathered.map(({ outcome }) => outcome))).toEqual(['completed', 'completed'])
  expect(imbalance(ledger)).toBe(0)
})

test('one span for the run, linked to every origin, and each origin linked back', async () => {
  const tasks = createTestTasks()
  const { task } = noted(tasks, { maxSize: 3, retry: { attempts: 2, initial: 10 } }, (_items, { fail, items }) => {
    if (items.length === 3) fail(2, new RangeError('third'))
  })
  const handles = ['1', '2', '3'].map((digit) => inScope(request(digit), () => task.defer(digit)))
  await tasks.settled()
  const [run, again] = tasks.spans('task index')
  const asked = tasks.spans('defer index')
  expect(asked.map((span) => span.spanContext().traceId[0])).toEqual(['1', '2', '3'])
  expect(run!.parentSpanContext).toBeUndefined()
  expect(run!.links.map(({ context }) => context.spanId)).toEqual(asked.map((span) => span.spanContext().spanId))
  expect(run!.links.map(({ attributes }) => attributes)).toEqual(
    handles.map(({ id }) => ({ 'task.id': id, 'task.attempt': 1 })),
  )
  for (const span of asked) expect(span.links.map(({ context }) => context.spanId)).toEqual([run!.spanContext().spanId])
  expect(run!.attributes).toEqual({
    'task.name': 'index',
    'task.priority': 'medium',
    'task.batch.size': 3,
    'task.batch.failed': 1,
    'task.wait': 0,
    'task.result': 'error',
    'error.type': 'RangeError',
  })
  expect(run!.status).toEqual({ code: 2, message: '1 failed, the last: third' })
  expect(
    run!.events.map(({ name, attributes }) => [name, attributes!['task.id'], attributes!['exception.message']]),
  ).toEqual([['exception', handles[2]!.id, 'third']])
  // The second attempt of the third: linked to its defer span and to the run before, and linked back by a started span.
  expect(again!.links.map(({ context }) => context.spanId)).toEqual([
    asked[2]!.spanContext().spanId,
    run!.spanContext().spanId,
  ])
  const [started] = tasks.spans('started index')
  expect(started!.spanContext().traceId[0]).toBe('3')
  expect(started!.links.map(({ context }) => context.spanId)).toEqual([again!.spanContext().spanId])
})

test('the handler runs in the context of the run and of no request; what it defers hangs on the run', async () => {
  const tasks = createTestTasks()
  const { task } = noted(tasks, { maxSize: 2 }, () => {
    tasks.defer('next', () => {})
  })
  for (const digit of ['1', '2']) inScope(request(digit), () => task.defer(digit))
  await tasks.settled()
  const [run] = tasks.spans('task index')
  const [next] = tasks.spans('task next')
  expect(next!.parentSpanContext?.spanId).toBe(run!.spanContext().spanId)
  expect(next!.attributes['http.route']).toBeUndefined()
})

test('effect and outcome are those of each item, by its own route', async () => {
  const tasks = createTestTasks()
  const { task } = noted(tasks, { maxSize: 2 })
  for (const digit of ['1', '2']) inScope(request(digit), () => task.defer(digit))
  await tasks.settled()
  for (const route of ['/r/1', '/r/2']) {
    expect(await tasks.metric('afterspan.task.effect', { 'http.route': route, 'task.outcome': 'completed' })).toBe(1)
  }
})

test('a one-off under the name of a batch task runs alone', async () => {
  const tasks = createTestTasks()
  const { task, calls } = noted(tasks, { maxSize: 2, maxWait: 1_000 })
  task.defer('a')
  let ran = false
  const handle = tasks.defer('index', () => {
    ran = true
  })
  expect(await handle.outcome).toBe('completed')
  expect(ran).toBe(true)
  expect(calls).toEqual([])
  await tasks.settled()
  expect(calls).toEqual([['a']])
})

test('delayed items gather when their time has come; a key finds one that gathers', async () => {
  const tasks = createTestTasks()
  const { task, calls } = noted(tasks, { maxSize: 10, maxWait: 100 })
  task.defer('late', { delay: 5_000 })
  const first = task.defer('a', { key: 'k' })
  expect(task.defer('b', { key: 'k' }).id).toBe(first.id)
  await tasks.clock.advance(100)
  expect(calls).toEqual([['a']])
  await tasks.clock.advance(5_000)
  expect(calls).toEqual([['a'], ['late']])
})

test.each([
  [{ maxSize: 0 }, 'maxSize'],
  [{ maxSize: 10_001 }, 'maxSize'],
  [{ maxSize: 1.5 }, 'maxSize'],
  [{ maxWait: -1 }, 'maxWait'],
  [{ maxWait: 2 ** 31 }, 'maxWait'],
  [{ groupBy: 'key' as never }, 'groupBy'],
  [{ relation: 'child' as never }, 'relation'],
  [{ size: 3 } as never, 'size'],
])('%j is refused', (options, name) => {
  const tasks = createTestTasks()
  expect(() => tasks.defineBatch('index', () => {}, options)).toThrow(AfterspanError)
  expect(() => tasks.defineBatch('index', () => {}, options)).toThrow(name)
})

test('a deferral to a batch task cannot ask for a parent, nor can a name be defined twice', () => {
  const tasks = createTestTasks()
  const { task } = noted(tasks)
  expect(() => task.defer('a', { relation: 'child' })).toThrow('relation')
  expect(() => tasks.define('index', () => {})).toThrow('defined already')
  expect(() => tasks.defineBatch('index', () => {})).toThrow('defined already')
})
