import { createTestTasks, type TestTasks } from 'afterspan/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inScope } from '../../src/background/scope.ts'
import { Tasks } from '../../src/background/tasks.ts'

function pages(tasks: TestTasks, name: string, limit: number): string[] {
  const inspection = Tasks.inspect(tasks)
  const ids: string[] = []
  let after: string | undefined
  do {
    const page = inspection.waiting(name, after, limit)!
    expect(page.jobs.length).toBeLessThanOrEqual(limit)
    ids.push(...page.jobs.map(({ id }) => id))
    after = page.next
  } while (after !== undefined)
  return ids
}

test('all that waits comes once, whatever the size of a page, in the order in which it starts', async () => {
  const step = fc.record({
    priority: fc.constantFrom('high' as const, 'medium' as const, 'low' as const),
    delay: fc.constantFrom(0, 0, 0, 100, 50, 7_000),
    held: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 20 }), async (steps, limit) => {
      const tasks = createTestTasks()
      const started: string[] = []
      const work = tasks.define('work', (_: unknown, { id }) => void started.push(id))
      const other = tasks.define('other', () => {})
      tasks.pause('work')
      tasks.pause('other')
      const request = { origin: undefined, spanContext: undefined, since: 0, response: { add() {} } }
      const free: string[] = []
      const all = steps.map(({ priority, delay, held }) => {
        other.defer(undefined, { delay })
        const defer = () => work.defer(undefined, { priority, delay })
        const { id } = held ? inScope(request, defer) : defer()
        if (!held && delay === 0) free.push(id)
        return id
      })
      await tasks.clock.turn()
      const ids = pages(tasks, 'work', limit)
      expect(ids.toSorted()).toEqual(all.toSorted())
      // What is ready comes first, and starts in this order.
      tasks.resume('work')
      await tasks.clock.turn()
      expect(ids.slice(0, free.length)).toEqual(started)
      await tasks.close({ grace: 0 })
    }),
    { numRuns: 60 },
  )
})

test('delayed and retrying ones come by when they are due, then the held ones', async () => {
  const tasks = createTestTasks()
  const work = tasks.define(
    'work',
    () => {
      throw new Error('no')
    },
    { retry: { attempts: 2, initial: 2_000 } },
  )
  const request = { origin: undefined, spanContext: undefined, since: 0, response: { add() {} } }
  const held = inScope(request, () => work.defer())
  const late = work.defer(undefined, { delay: 5_000 })
  const soon = work.defer(undefined, { delay: 500 })
  const retrying = work.defer()
  await tasks.clock.turn()
  expect(retrying.state).toBe('retrying')
  expect(pages(tasks, 'work', 1)).toEqual([soon.id, retrying.id, late.id, held.id])
})

test('a batch that gathers is listed too', () => {
  const tasks = createTestTasks()
  const batch = tasks.defineBatch('batch', () => {})
  const ids = [1, 2, 3, 4, 5].map((item) => batch.defer(item).id)
  expect(pages(tasks, 'batch', 2)).toEqual(ids)
})

test('what starts between two pages is no reason to miss the others, or to see them twice', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  const gates: (() => void)[] = []
  const work = tasks.define('work', () => new Promise<void>((resolve) => gates.push(resolve)))
  const ids = Array.from({ length: 10 }, () => work.defer().id)
  await tasks.clock.turn()
  const inspection = Tasks.inspect(tasks)
  const first = inspection.waiting('work', undefined, 3)!
  expect(first.jobs.map(({ id }) => id)).toEqual(ids.slice(1, 4))
  for (let started = 0; started < 4; started++) {
    gates.at(-1)!()
    await tasks.clock.turn()
  }
  expect(inspection.waiting('work', first.next, 100)!.jobs.map(({ id }) => id)).toEqual(ids.slice(5))
})

test.each(['', 'nonsense', '1_2', '99_1_1', 'NaN_1_1', '__proto__', '-5_1_1', '0.5_1_1', '1e999_0_0'])(
  'a cursor "%s" does no harm',
  (after) => {
    const tasks = createTestTasks()
    const work = tasks.define('work', () => {})
    work.defer(undefined, { delay: 100 })
    expect(Tasks.inspect(tasks).waiting('work', after, 10)!.jobs.length).toBeLessThanOrEqual(1)
  },
)

test('one of many that wait is found and cancelled by its id, whatever its state; one that runs is not', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  const work = tasks.define('work', () => new Promise(() => {}))
  const batch = tasks.defineBatch('batch', () => {})
  const request = { origin: undefined, spanContext: undefined, since: 0, response: { add() {} } }
  const running = work.defer()
  await tasks.clock.turn()
  const waiting = [
    work.defer(),
    work.defer(undefined, { delay: 10 }),
    inScope(request, () => work.defer()),
    batch.defer(),
  ]
  const inspection = Tasks.inspect(tasks)
  for (const handle of waiting) {
    expect(inspection.cancelWaiting(handle.id, 'test')).toBe(true)
    expect(inspection.cancelWaiting(handle.id, 'test')).toBe(false)
    expect(handle.state).toBe('cancelled')
  }
  expect(inspection.cancelWaiting(running.id, 'test')).toBe(false)
  expect(inspection.cancelWaiting('__proto__', 'test')).toBe(false)
  expect(running.state).toBe('running')
})

test('a page of a million takes little memory and no long stop', { timeout: 60_000 }, async () => {
  const tasks = createTestTasks()
  const work = tasks.define('work', () => {})
  tasks.pause('work')
  for (let i = 0; i < 200_000; i++) work.defer(undefined, i % 2 === 0 ? { delay: 1_000_000 + (i % 977) } : undefined)
  const inspection = Tasks.inspect(tasks)
  let after: string | undefined
  let longest = 0
  // Into the middle of those that are delayed, which are in no order.
  for (let page = 0; page < 3; page++) {
    const begun = performance.now()
    const { jobs, next } = inspection.waiting(
      'work',
      page === 0 ? undefined : page === 1 ? '1_199000_0' : '5_1000500_0',
      200,
    )!
    longest = Math.max(longest, performance.now() - begun)
    expect(jobs).toHaveLength(200)
    after = next
  }
  expect(after).toBeDefined()
  expect(longest).toBeLessThan(500)
})
