import { imbalance, type TaskHandle, type TasksOptions } from 'afterspan'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PRIORITIES } from '../../src/model/words.ts'
import { assess, HEALTH_LIMITS } from '../../src/stats/assess.ts'
import { TestTasks } from '../../src/testing/test-tasks.ts'
import { FakeMeter } from './fake-meter.ts'

function setUp(options: TasksOptions = {}) {
  const meter = new FakeMeter()
  const heap = { used: 50, limit: 100, reads: 0 }
  const lines: string[] = []
  const line = (text: string) => void lines.push(text)
  const tasks = new TestTasks(
    { governor: { maxLoopDelay: 5 }, logger: { info: line, warn: line, error: line }, ...options },
    {
      meter: () => meter,
      heap() {
        heap.reads++
        return heap
      },
    },
  )
  /** Reads the delay every 200 ms. */
  const measure = async (delay: number, ms: number) => {
    for (let time = 0; time < ms; time += 200) {
      await tasks.clock.advance(200)
      meter.report(delay)
    }
  }
  return { tasks, meter, heap, lines, measure }
}

/** A handler that ends when it is told to. */
function byHand() {
  const ends: (() => void)[] = []
  return { handler: () => new Promise<void>((resolve) => ends.push(resolve)), ends }
}

async function instant(tasks: TestTasks, ms: number): Promise<void> {
  await new Promise<void>((resolve) => tasks.clock.after(ms, resolve))
}

async function closeNow(tasks: TestTasks): Promise<void> {
  const closed = tasks.close({ grace: 0 })
  await tasks.clock.advance(0)
  await closed
}

describe('the governor', () => {
  test('is off unless it is asked for, and then limits and measures nothing', async () => {
    const tasks = new TestTasks({ concurrency: 3 })
    tasks.defer('t', () => {})
    await tasks.settled()
    expect(tasks.snapshot().governor).toBeUndefined()
    expect(tasks.snapshot().concurrency.limit).toBe(3)
    expect(await tasks.metric('afterspan.governor.delay')).toBeUndefined()
    expect(await tasks.metric('afterspan.governor.limit')).toBeUndefined()
  })

  test('measures while something runs, and a second longer', async () => {
    const { tasks, meter, measure } = setUp()
    const { handler, ends } = byHand()
    expect(meter.measuring).toBe(false)
    tasks.define('t', handler).defer()
    await measure(0, 5_000)
    expect(meter.measuring).toBe(true)
    ends[0]!()
    await measure(0, 800)
    expect(meter.measuring).toBe(true)
    await measure(0, 600)
    expect(meter.measuring).toBe(false)
  })

  test('knows of each stretch of time whether a task ran in it, at its start, its end or in between', async () => {
    const meter = new FakeMeter()
    let worked = () => false
    const internals = {
      meter(_beat: number, given: () => boolean) {
        worked = given
        return meter
      },
    }
    const tasks = new TestTasks({ governor: { maxLoopDelay: 5 } }, internals)
    const { handler, ends } = byHand()
    const task = tasks.define('t', handler)
    expect(worked()).toBe(false)
    task.defer()
    await tasks.clock.turn()
    expect([worked(), worked()]).toEqual([true, true])
    ends[0]!()
    await tasks.clock.turn()
    // It held the loop, may be, before it ended.
    expect([worked(), worked()]).toEqual([true, false])
    await tasks.defer('short', () => {}).outcome
    expect([worked(), worked()]).toEqual([true, false])
  })

  test('starts less while the loop is late, tells how much, and starts all again when it is not', async () => {
    const { tasks, measure } = setUp({ concurrency: 64 })
    const task = tasks.define('t', () => instant(tasks, 1_000))
    const handles = Array.from({ length: 500 }, () => task.defer())
    await tasks.clock.turn()
    expect(tasks.snapshot().concurrency).toEqual({ limit: 64, used: 64 })
    await measure(100, 4_000)
    const { governor } = tasks.snapshot()
    expect(governor!.limits.medium).toBeLessThan(4)
    expect(governor!.limits.high).toBe(64)
    expect(governor).toMatchObject({ maxDelay: 0.005, holdsBack: true, heldFor: { high: null, low: null } })
    expect(governor!.delay).toBeCloseTo(0.1, 2)
    expect(tasks.snapshot().concurrency.used).toBeLessThanOrEqual(4)
    expect(await tasks.metric('afterspan.governor.delay')).toBeCloseTo(0.1, 2)
    for (const priority of PRIORITIES) {
      const limit = await tasks.metric('afterspan.governor.limit', { 'task.priority': priority })
      expect(limit).toBe(governor!.limits[priority])
    }
    await measure(0, 4_000)
    expect(tasks.snapshot().concurrency).toEqual({ limit: 64, used: 64 })
    await measure(0, 15_000)
    expect(handles.every(({ state }) => state === 'completed')).toBe(true)
  })

  test('tells the limit that holds, where it has reached all priorities', async () => {
    const { tasks, measure } = setUp({ concurrency: 64 })
    for (const priority of PRIORITIES) {
      const task = tasks.define(priority, () => instant(tasks, 500), { priority })
      for (let i = 0; i < 500; i++) task.defer()
    }
    await measure(1_000, 15_000)
    expect(tasks.snapshot().concurrency.limit).toBe(1)
    expect(await tasks.metric('afterspan.concurrency.limit')).toBe(1)
    await closeNow(tasks)
  })

  test('makes health degraded when it holds back for over 30 s, and not before', async () => {
    const { tasks, measure } = setUp()
    const task = tasks.define('t', () => instant(tasks, 1_000), { priority: 'low' })
    // Young ones only, so that it is not their age that is judged.
    const offer = async (ms: number) => {
      for (let time = 0; time < ms; time += 5_000) {
        const handles = Array.from({ length: 300 }, () => task.defer())
        await measure(100, 5_000)
        // One stays, so that there is no moment without.
        for (const handle of handles.slice(1)) if (handle.state === 'ready') handle.cancel()
      }
    }
    await offer(25_000)
    expect(assess(tasks.snapshot(), HEALTH_LIMITS)).toEqual({ status: 'ok', reasons: [] })
    await offer(10_000)
    const { status, reasons } = assess(tasks.snapshot(), HEALTH_LIMITS)
    expect(status).toBe('degraded')
    expect(reasons).toContainEqual(
      expect.stringMatching(
        /^tasks of priority low have been held back for 3\d s: .* 100\.0 ms \(governor.maxLoopDelay 5 ms\)$/,
      ),
    )
    await closeNow(tasks)
  })

  test('counts a batch once, in its own priority', async () => {
    const { tasks, measure } = setUp()
    const { handler, ends } = byHand()
    const batch = tasks.defineBatch('b', handler, { maxSize: 10, maxWait: 0, priority: 'low' })
    const more = () => Array.from({ length: 10 }, () => batch.defer())
    for (let i = 0; i < 8; i++) more()
    await tasks.clock.turn()
    expect(ends.length).toBe(8)
    await measure(20, 200)
    const { limits } = tasks.snapshot().governor!
    expect(limits.low).toBeLessThan(8)
    expect(limits.medium).toBe(128)
    more()
    await tasks.clock.turn()
    expect(ends.length).toBe(8)
    for (const end of ends.splice(0)) end()
    await measure(0, 5_000)
    expect(ends.length).toBe(1)
    ends[0]!()
    await tasks.settled()
    expect(tasks.ledger().outcomes.completed).toBe(90)
  })

  test('lets what is held back be cancelled', async () => {
    const { tasks, measure } = setUp()
    const task = tasks.define('t', () => instant(tasks, 1_000), { priority: 'low' })
    const handles = Array.from({ length: 500 }, () => task.defer())
    await measure(100, 3_000)
    const waiting = handles.filter(({ state }) => state === 'ready')
    expect(waiting.length).toBeGreaterThan(10)
    for (const handle of waiting) expect(handle.cancel()).toBe(true)
    await measure(100, 3_000)
    expect(tasks.ledger().states.ready).toBe(0)
    expect(imbalance(tasks.ledger())).toBe(0)
  })

  test('lets go when the process ends, so that all that fits into the grace is done', async () => {
    const { tasks, measure } = setUp()
    const task = tasks.define('t', () => instant(tasks, 200), { priority: 'low' })
    for (let i = 0; i < 1_500; i++) task.defer()
    await measure(1_000, 5_000)
    const { limits } = tasks.snapshot().governor!
    expect(limits.low).toBeLessThan(0.1)
    const waiting = tasks.ledger().states.ready
    expect(waiting).toBeGreaterThan(500)
    const closed = tasks.close({ grace: 3_000, drain: true })
    await tasks.clock.advance(3_000)
    expect((await closed).outcomes).toEqual({ completed: 1_500, failed: 0, cancelled: 0, dropped: 0, handed_off: 0 })
  })

  test('what it holds back counts against queueLimit', async () => {
    const { tasks, measure } = setUp({ queueLimit: 20 })
    const { handler } = byHand()
    const task = tasks.define('t', handler)
    task.defer()
    await measure(100, 4_000)
    const handles = Array.from({ length: 40 }, () => task.defer())
    expect(handles.filter(({ state }) => state === 'ready').length).toBe(20)
    expect(handles.filter(({ state }) => state === 'dropped').length).toBe(20)
    await closeNow(tasks)
  })
})

describe('the guard of the heap', () => {
  const above = 'afterspan: the heap is at 95 % of its limit: tasks of priority low are not started'

  test('starts one all the same when nothing has run for ten seconds, since nobody else would make V8 collect', async () => {
    const { tasks, heap } = setUp()
    heap.used = 95
    const low = tasks.define('low', () => {}, { priority: 'low' })
    const handles = [1, 2, 3].map(() => low.defer(undefined))
    await tasks.clock.advance(9_000)
    const states = () => handles.map(({ state }) => state)
    expect(states()).toEqual(['ready', 'ready', 'ready'])
    await tasks.clock.advance(1_500)
    expect(states()).toEqual(['completed', 'ready', 'ready'])
    await tasks.clock.advance(9_000)
    expect(states()).toEqual(['completed', 'ready', 'ready'])
    // Something else runs, and allocates.
    const { handler, ends } = byHand()
    tasks.define('medium', handler).defer(undefined)
    await tasks.clock.advance(30_000)
    expect(states()).toEqual(['completed', 'ready', 'ready'])
    ends[0]!()
    heap.used = 50
    await tasks.settled()
    expect(states()).toEqual(['completed', 'completed', 'completed'])
    await closeNow(tasks)
  })

  test('starts nothing of low priority above its share, until a tenth below, and loses nothing by it', async () => {
    const { tasks, heap, lines } = setUp()
    const low = () => tasks.defer('low', () => {}, { priority: 'low' })
    heap.used = 95
    const first = low()
    const medium = tasks.defer('medium', () => {})
    const high = tasks.defer('high', () => {}, { priority: 'high' })
    await tasks.clock.advance(1_000)
    expect([first.state, medium.state, high.state]).toEqual(['ready', 'completed', 'completed'])
    expect(tasks.snapshot().heap).toMatchObject({ used: 95, limit: 100, guarded: true })
    expect(await tasks.metric('afterspan.heap.guarded')).toBe(1)
    expect(assess(tasks.snapshot(), HEALTH_LIMITS)).toEqual({
      status: 'degraded',
      reasons: ['tasks of priority low are not started: the heap is at 95 % of its limit'],
    })
    heap.used = 85
    const second = low()
    await tasks.clock.advance(1_000)
    expect([first.state, second.state]).toEqual(['ready', 'ready'])
    heap.used = 79
    await tasks.clock.advance(1_000)
    expect([first.state, second.state]).toEqual(['completed', 'completed'])
    expect(await tasks.metric('afterspan.heap.guarded')).toBe(0)
    expect(lines).toEqual([
      above,
      expect.stringMatching(/^afterspan: .* 79 % .* not held back any more, after 2\.\d s$/),
    ])
  })

  test('between a tenth below and its share it starts them, as long as it has not been above', async () => {
    const { tasks, heap } = setUp()
    heap.used = 89
    const handle = tasks.defer('low', () => {}, { priority: 'low' })
    await tasks.settled()
    expect(handle.state).toBe('completed')
  })

  test('asks V8 five times a second at most, and not at all while no low task would start', async () => {
    const { tasks, heap } = setUp()
    for (let i = 0; i < 100; i++) tasks.defer('medium', () => {})
    await tasks.clock.advance(1_000)
    expect(heap.reads).toBe(0)
    for (let i = 0; i < 100; i++) {
      tasks.defer('low', () => {}, { priority: 'low' })
      await tasks.clock.advance(10)
    }
    expect(heap.reads).toBeGreaterThanOrEqual(4)
    expect(heap.reads).toBeLessThanOrEqual(6)
  })

  test('lets what it holds back be cancelled, and does not go on watching for nothing', async () => {
    const { tasks, heap } = setUp()
    heap.used = 95
    const handle = tasks.defer('low', () => {}, { priority: 'low' })
    await tasks.clock.advance(500)
    expect(handle.cancel()).toBe(true)
    await tasks.clock.advance(500)
    expect(tasks.snapshot().heap.guarded).toBe(false)
    const { reads } = heap
    await tasks.clock.advance(60_000)
    // One is by the snapshot.
    expect(heap.reads).toBe(reads)
    expect(await handle.outcome).toBe('cancelled')
  })

  test.each([true, false])('gives what it holds back an outcome when the process ends (drain: %s)', async (drain) => {
    const { tasks, heap } = setUp()
    heap.used = 95
    const handles = Array.from({ length: 10 }, () => tasks.defer('low', () => {}, { priority: 'low' }))
    await tasks.clock.advance(500)
    const closed = tasks.close({ grace: 2_000, drain })
    await tasks.clock.advance(2_000)
    const ledger = await closed
    expect(ledger.outcomes.cancelled).toBe(10)
    expect(imbalance(ledger)).toBe(0)
    expect(await Promise.all(handles.map(({ outcome }) => outcome))).toEqual(Array(10).fill('cancelled'))
  })

  test('goes by the share that is given, and is off where that is false', async () => {
    const half = setUp({ heapGuard: 0.4 })
    const off = setUp({ heapGuard: false })
    half.heap.used = 45
    off.heap.used = 99
    const handles = [half, off].map(({ tasks }) => tasks.defer('low', () => {}, { priority: 'low' }))
    await half.tasks.clock.advance(500)
    await off.tasks.clock.advance(500)
    expect(handles.map(({ state }) => state)).toEqual(['ready', 'completed'])
    expect(off.tasks.snapshot().heap).toMatchObject({ used: 99, guarded: false })
    await closeNow(half.tasks)
  })

  test('does not make the governor think that low would like more', async () => {
    const { tasks, heap, measure } = setUp()
    heap.used = 95
    tasks.defer('low', () => {}, { priority: 'low' })
    tasks.define('medium', () => instant(tasks, 10_000)).defer()
    await measure(100, 2_000)
    expect(tasks.snapshot().governor!.heldFor.low).toBe(null)
    await closeNow(tasks)
  })
})

test('whatever the loop and the heap do, each task runs once and completes, and the ledger balances', async () => {
  const weather = fc.record({
    delay: fc.constantFrom(0, 3, 20, 1_000),
    heap: fc.constantFrom(10, 85, 99),
    defer: fc.array(fc.record({ priority: fc.constantFrom(...PRIORITIES), ms: fc.constantFrom(0, 5, 300) }), {
      maxLength: 6,
    }),
    ms: fc.constantFrom(1, 200, 1_200),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(weather, { minLength: 1, maxLength: 12 }), async (days) => {
      const { tasks, heap, measure } = setUp({ concurrency: 4 })
      const runs = new Map<string, number>()
      const handles: TaskHandle[] = []
      const task = tasks.define('t', async (ms: number, { id }) => {
        runs.set(id, (runs.get(id) ?? 0) + 1)
        if (ms > 0) await instant(tasks, ms)
      })
      for (const day of days) {
        heap.used = day.heap
        for (const { priority, ms } of day.defer) handles.push(task.defer(ms, { priority }))
        await measure(day.delay, day.ms)
        expect(imbalance(tasks.ledger())).toBe(0)
        expect(tasks.snapshot().concurrency.used).toBeLessThanOrEqual(4)
      }
      // The loop stays as late as it was; nothing waits for good nevertheless.
      heap.used = 10
      const { delay } = days.at(-1)!
      const left = () => tasks.ledger().states.ready + tasks.ledger().states.running
      for (let second = 0; second < 300 && left() > 0; second++) await measure(delay, 1_000)
      expect(handles.map(({ id, state }) => [runs.get(id), state])).toEqual(handles.map(() => [1, 'completed']))
      expect(imbalance(tasks.ledger())).toBe(0)
    }),
    { numRuns: 30 },
  )
}, 60_000)
