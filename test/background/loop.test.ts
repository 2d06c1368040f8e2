import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createTestTasks } from 'afterspan/testing'
import { afterEach, describe, expect, test } from 'vitest'

/** Holds the event loop for so many ms. */
function spin(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

const lines: string[] = []
const logger = { info() {}, warn: (line: string) => void lines.push(line), error() {} }
afterEach(() => {
  lines.length = 0
})

describe('a handler that holds the event loop before its first await', () => {
  test('is measured: a metric, an event of its span, a figure, a line', async () => {
    const tasks = createTestTasks({ realTime: true, logger })
    const hog = tasks.define('hog', async () => {
      spin(80)
      await sleep(1)
    })
    await hog.defer(undefined).outcome
    const { count, sum } = await tasks.histogram('afterspan.task.blocked', { 'task.name': 'hog' })
    expect(count).toBe(1)
    expect(sum).toBeGreaterThanOrEqual(0.08)
    const [event] = tasks.spans('task hog')[0]!.events
    expect(event).toMatchObject({ name: 'event loop blocked', attributes: { 'task.blocked': sum } })
    expect(tasks.snapshot().tasks[0]!.blocked).toMatchObject({ count: 1, max: sum })
    expect(lines).toEqual([
      expect.stringMatching(/^afterspan: task "hog" held the event loop for \d+ ms; nothing else ran meanwhile$/),
    ])
    await tasks.close()
  })

  test('also where it is synchronous to its end, throws, or runs as a batch', async () => {
    const tasks = createTestTasks({ realTime: true, logger })
    const handles = [
      tasks.define('sync', () => spin(30)).defer(undefined),
      tasks
        .define('throws', () => {
          spin(30)
          throw new Error('no')
        })
        .defer(undefined),
      tasks.defineBatch('batch', () => spin(30), { maxWait: 0 }).defer(1),
    ]
    await Promise.all(handles.map(({ outcome }) => outcome))
    for (const name of ['sync', 'throws', 'batch']) {
      const { count, sum } = await tasks.histogram('afterspan.task.blocked', { 'task.name': name })
      expect(count).toBe(1)
      // Long enough to count, too short for an event or a line, unless the machine had no core for it.
      const stalls = sum >= 0.05 ? 1 : 0
      const events = tasks.spans(`task ${name}`)[0]!.events.filter((event) => event.name === 'event loop blocked')
      expect(events).toHaveLength(stalls)
      expect(lines.filter((line) => line.includes(`"${name}" held the event loop`))).toHaveLength(stalls)
    }
    await tasks.close()
  })

  test('others that wait or run meanwhile are not blamed, and the log stays short', async () => {
    const tasks = createTestTasks({ realTime: true, logger })
    const innocent = tasks.define('innocent', () => sleep(30))
    const hog = tasks.define('hog', () => spin(60))
    const handles = Array.from({ length: 5 }, () => [innocent.defer(undefined), hog.defer(undefined)]).flat()
    await Promise.all(handles.map(({ outcome }) => outcome))
    expect(await tasks.histogram('afterspan.task.blocked', { 'task.name': 'hog' })).toMatchObject({ count: 5 })
    expect(await tasks.histogram('afterspan.task.blocked', { 'task.name': 'innocent' })).toMatchObject({ count: 0 })
    expect(lines.filter((line) => line.includes('event loop'))).toHaveLength(1)
    await tasks.close()
  })
})

describe('the growth of the heap in an attempt', () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  const megabytes = (n: number) => Array.from({ length: n * 16_384 }, (_, index) => ({ index }))

  test('is estimated for one that is synchronous, whatever else runs, and at most once a second', async () => {
    const tasks = createTestTasks({ realTime: true })
    const kept: unknown[] = []
    const other = tasks.define('other', () => sleep(50)).defer(undefined)
    const grow = tasks.define('grow', () => void kept.push(megabytes(20)))
    // What is freed in the window counts against what is allocated in it.
    collectGarbage()
    await grow.defer(undefined).outcome
    await grow.defer(undefined).outcome
    const { count, sum } = await tasks.histogram('afterspan.task.heap', {
      'task.name': 'grow',
      'task.heap.estimated': true,
    })
    expect(count).toBe(1)
    // 24 bytes and more for each object.
    expect(sum).toBeGreaterThan(10 * 16_384 * 24)
    const [first, second] = tasks.spans('task grow')
    expect(first!.attributes).toMatchObject({ 'task.heap': sum, 'task.heap.estimated': true })
    expect(second!.attributes).not.toHaveProperty('task.heap')
    await other.outcome
    await tasks.close()
  })

  test('is told of one with awaits only where nothing else ran from its start to its end', async () => {
    const tasks = createTestTasks({ realTime: true })
    const alone = tasks.define('alone', () => sleep(20))
    await alone.defer(undefined).outcome
    const [one, two] = [tasks.define('one', () => sleep(30)), tasks.define('two', () => sleep(10))]
    const first = one.defer(undefined)
    await sleep(10)
    await Promise.all([first.outcome, two.defer(undefined).outcome])
    const recorded = async (name: string) => (await tasks.histogram('afterspan.task.heap', { 'task.name': name })).count
    expect(await recorded('alone')).toBe(1)
    expect(await recorded('one')).toBe(0)
    expect(await recorded('two')).toBe(0)
    await tasks.close()
  })
})

test('the delay of the event loop is told apart by whether tasks ran', async () => {
  const tasks = createTestTasks({ realTime: true })
  const beats = async (running: boolean) =>
    (await tasks.histogram('afterspan.loop.delay', { 'background.running': running })).count
  await sleep(100)
  expect(await beats(false)).toBeGreaterThan(0)
  expect(await beats(true)).toBe(0)
  await tasks.define('work', () => sleep(300)).defer(undefined).outcome
  // Not only the beat after its start.
  expect(await beats(true)).toBeGreaterThan(2)
  const { loopDelay } = tasks.snapshot().foreground
  expect(loopDelay.running.count).toBe(await beats(true))
  await tasks.close()
  const after = await beats(false)
  await sleep(60)
  expect(await beats(false)).toBe(after)
})
