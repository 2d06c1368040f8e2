import { metrics } from '@opentelemetry/api'
import { createTasks } from 'afterspan'
import { createInMemoryTelemetry, createTestTasks } from 'afterspan/testing'
import { afterEach, expect, test } from 'vitest'
import { METRICS } from '../../src/telemetry/catalogue.ts'
import { selfHealth } from '../../src/telemetry/self-health.ts'

afterEach(() => metrics.disable())

const noop = () => {}

test('from define on every task × outcome, result and state is there at 0, so that the first failure is an increase', async () => {
  const tasks = createTestTasks()
  tasks.define('mail', noop)
  const series = async (key: keyof typeof METRICS, attribute: string, values: readonly string[]) => {
    for (const value of values) {
      expect(await tasks.metric(METRICS[key].name, { 'task.name': 'mail', [attribute]: value }), value).toBe(0)
    }
  }
  await series('finished', 'task.outcome', ['completed', 'failed', 'cancelled', 'dropped', 'handed_off'])
  await series('attempts', 'task.result', ['ok', 'error', 'timeout', 'cancelled'])
  await series('pending', 'task.state', ['held', 'delayed', 'ready', 'running', 'retrying'])
  for (const key of ['deferred', 'oldest', 'zombies', 'deduplicated', 'retriesRefused'] as const) {
    expect(await tasks.metric(METRICS[key].name, { 'task.name': 'mail' }), key).toBe(0)
  }
  expect(await tasks.metric('afterspan.concurrency.limit')).toBe(128)
  expect(await tasks.metric('afterspan.telemetry.lost', { reason: 'queue_full' })).toBeDefined()
})

test('wait is the time ready, not the time delayed or backing off; oldest is the age of the first in line', async () => {
  const tasks = createTestTasks({ concurrency: 1, retry: { attempts: 2, initial: 10_000 } })
  const blocker = Promise.withResolvers<void>()
  tasks.defer('blocker', () => blocker.promise)
  await tasks.clock.turn()
  const work = tasks.define(
    'work',
    (_: unknown, { attempt }) => {
      if (attempt === 1) throw new Error('no')
    },
    { priority: 'high' },
  )
  work.defer(undefined, { delay: 2_000 })
  await tasks.clock.advance(5_000)
  expect(await tasks.metric('afterspan.task.oldest', { 'task.name': 'work' })).toBe(3)
  blocker.resolve()
  await tasks.settled()
  // 3 s for the slot, 0 s after the backoff of 5 s.
  expect(await tasks.histogram('afterspan.task.wait', { 'task.name': 'work', 'task.priority': 'high' })).toEqual({
    count: 2,
    sum: 3,
  })
  expect(await tasks.metric('afterspan.task.oldest', { 'task.name': 'work' })).toBe(0)
})

test('effect runs from the deferral where there is no request', async () => {
  const tasks = createTestTasks()
  tasks.define('late', noop).defer(undefined, { delay: 1_500 })
  await tasks.settled()
  expect(await tasks.histogram('afterspan.task.effect', { 'task.name': 'late', 'task.outcome': 'completed' })).toEqual({
    count: 1,
    sum: 1.5,
  })
})

test('names beyond a limit are _other, and counted; the work is done all the same', async () => {
  const tasks = createTestTasks({ limits: { tasks: 3, errorTypes: 2 }, retry: { attempts: 1 } })
  const before = selfHealth.count('afterspan.telemetry.capped', 'task_names')
  let runs = 0
  for (let index = 0; index < 50; index++)
    tasks.defer(`task ${index}`, () => {
      runs++
    })
  tasks
    .define('defined late', () => {
      runs++
    })
    .defer()
  await tasks.settled()
  expect(runs).toBe(51)
  expect(await tasks.metric('afterspan.task.finished', { 'task.name': '_other' })).toBe(48)
  expect(selfHealth.count('afterspan.telemetry.capped', 'task_names') - before).toBeGreaterThanOrEqual(48)
  expect(tasks.snapshot().tasks.map(({ name }) => name)).toEqual(['task 0', 'task 1', 'task 2', '_other'])
  const fails = tasks.define('task 0', (type: string) => {
    throw Object.assign(new Error('no'), { name: type })
  })
  for (const type of ['A', 'B', 'C', 'D']) fails.defer(type)
  await tasks.settled()
  expect(await tasks.metric('afterspan.task.attempts', { 'task.name': 'task 0', 'error.type': '_other' })).toBe(2)
})

test('names that are hostile to a backend are made harmless', async () => {
  const tasks = createTestTasks()
  const names = [
    '<script>alert(1)</script>',
    '__proto__',
    'a\r\nb',
    'nul\0',
    '\ud800lone',
    '🦔',
    'constructor',
    '"quoted\\',
  ]
  for (const name of names) tasks.defer(name, noop)
  await tasks.settled()
  const shown = tasks.snapshot().tasks.map(({ name }) => name)
  expect(shown).toEqual([
    '<script>alert(1)</script>',
    '__proto__',
    'a\ufffd\ufffdb',
    'nul\ufffd',
    '\ufffdlone',
    '🦔',
    'constructor',
    '"quoted\\',
  ])
  for (const name of shown)
    expect(
      await tasks.metric('afterspan.task.finished', { 'task.name': name, 'task.outcome': 'completed' }),
      name,
    ).toBe(1)
})

test('a provider that the app registers after createTasks gets the counts and histograms from then on', async () => {
  const tasks = createTasks({ shutdown: false })
  const work = tasks.define('early', noop)
  await work.defer().outcome
  const telemetry = createInMemoryTelemetry()
  metrics.setGlobalMeterProvider(telemetry.meterProvider)
  await work.defer().outcome
  const { scopeMetrics } = await telemetry.collect()
  const points = (name: string) =>
    scopeMetrics.flatMap((scope) => scope.metrics).find((metric) => metric.descriptor.name === name)?.dataPoints ?? []
  const early = (name: string) => points(name).filter((point) => point.attributes['task.name'] === 'early')
  expect(early('afterspan.task.duration').map((point) => (point.value as { count: number }).count)).toEqual([1])
  expect(early('afterspan.task.deferred').map((point) => point.value)).toEqual([2])
})

test('two createTasks on one provider add up to one series per task', async () => {
  const first = createTestTasks()
  const telemetry = createInMemoryTelemetry()
  const one = createTasks({
    shutdown: false,
    meterProvider: telemetry.meterProvider,
    concurrency: 3,
    logger: { info: noop, warn: noop, error: noop },
  })
  const two = createTasks({ shutdown: false, meterProvider: telemetry.meterProvider, concurrency: 4 })
  await Promise.all([one.defer('same', noop).outcome, two.defer('same', noop).outcome])
  const value = async (name: string) => {
    const { scopeMetrics } = await telemetry.collect()
    return scopeMetrics
      .flatMap((scope) => scope.metrics)
      .find((metric) => metric.descriptor.name === name)!
      .dataPoints.map((point) => point.value)
  }
  expect(await value('afterspan.task.deferred')).toEqual([2])
  expect(await value('afterspan.concurrency.limit')).toEqual([7])
  await one.close()
  expect(await value('afterspan.concurrency.limit')).toEqual([4])
  expect(await value('afterspan.task.deferred')).toEqual([2])
  expect(await first.metric('afterspan.task.deferred')).toBeUndefined()
})

test('the catalogue gives each metric the name that Prometheus makes of it', () => {
  const suffix = { s: '_seconds', By: '_bytes' } as Record<string, string>
  for (const { name, unit, kind, prometheus } of Object.values(METRICS)) {
    const expected = name.replaceAll('.', '_') + (suffix[unit] ?? '') + (kind === 'counter' ? '_total' : '')
    expect(prometheus).toBe(expected)
  }
})
