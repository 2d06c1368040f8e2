import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AttemptEnd } from '../../src/model/seam.ts'
import { SlotSketch } from '../../src/stats/slot-sketch.ts'
import { type RecordedJob, TaskHistory } from '../../src/stats/task-history.ts'

const exact = (sorted: readonly number[], q: number) => sorted[Math.max(0, Math.ceil(q * sorted.length - 1e-6) - 1)]!
const by = (one: number, other: number) => one - other
const seconds = fc.double({ min: 1e-5, max: 1e5, noNaN: true })

/** Within 2 % of the true one. */
function near(found: number | null, sorted: readonly number[], q: number): void {
  expect(Math.abs(found! / exact(sorted, q) - 1)).toBeLessThan(0.02)
}

test('quantiles are within 2 % of those of the sorted values, also packed and added up', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(seconds, { minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 5 }),
      (parts) => {
        const sum = new SlotSketch()
        for (const part of parts) {
          const sketch = new SlotSketch()
          for (const value of part) sketch.record(value)
          sum.merge(sketch.pack()!)
        }
        const sorted = parts.flat().sort(by)
        const { count, p50, p95, p99, max } = sum.quantiles()
        expect(count).toBe(sorted.length)
        expect(max).toBe(sorted.at(-1))
        near(p50, sorted, 0.5)
        near(p95, sorted, 0.95)
        near(p99, sorted, 0.99)
      },
    ),
    { numRuns: 200 },
  )
})

test('many of the same are one bucket of a few bytes; counts beyond 2^31 come through', () => {
  const one = new SlotSketch()
  for (let i = 0; i < 100_000; i++) one.record(0.5)
  const packed = one.pack()!
  expect(packed.bytes.length).toBeLessThan(8)
  const many = new SlotSketch()
  for (let i = 0; i < 30_000; i++) many.merge(packed)
  const again = new SlotSketch()
  again.merge(many.pack()!)
  expect(again.count).toBe(3_000_000_000)
})

test('nothing, zero, less and more than its range', () => {
  const sketch = new SlotSketch()
  expect(sketch.quantiles()).toEqual({ count: 0, p50: null, p95: null, p99: null, max: null })
  expect(sketch.pack()).toBeUndefined()
  sketch.record(0)
  expect(sketch.quantiles()).toMatchObject({ count: 1, p50: 0, max: 0 })
  sketch.record(1e9)
  expect(sketch.quantiles().max).toBe(1e9)
  sketch.clear()
  expect(sketch.quantiles().count).toBe(0)
})

const MINUTE = 60_000
const job = (more: Partial<RecordedJob> = {}): RecordedJob => ({
  id: 'a-1',
  attempt: 1,
  wait: 0,
  origin: { route: '/orders' },
  traceId: undefined,
  error: new Error('no'),
  ...more,
})
const end = (ms: number, more: Partial<AttemptEnd> = {}): AttemptEnd => ({
  result: 'ok',
  error: undefined,
  duration: ms,
  zombie: false,
  ...more,
})

/** A history with one attempt each second, whose duration is what `ms` says. */
function fed(forMs: number, ms: (second: number) => number) {
  const gauges = { waiting: 0, running: 0 }
  const history = new TaskHistory(0, () => gauges)
  const durations: { at: number; seconds: number }[] = []
  for (let now = 0; now < forMs; now += 1_000) {
    history.advance(now)
    const duration = ms(now / 1_000)
    history.ended(job(), end(duration), now)
    history.finished(job(), 'completed', duration / 1_000, now)
    durations.push({ at: now, seconds: duration / 1_000 })
  }
  return { history, gauges, durations }
}

test('the last five minutes are those of the true values, within 2 %', () => {
  const { history, durations } = fed(20 * MINUTE, (second) => 1 + ((second * 7919) % 1009))
  const now = 20 * MINUTE
  const { counts, duration, effect, seconds } = history.recent(now)
  const sorted = durations
    .filter(({ at }) => at >= now - 1_000 * seconds)
    .map(({ seconds }) => seconds)
    .sort(by)
  expect(seconds).toBeGreaterThanOrEqual(300)
  expect(seconds).toBeLessThanOrEqual(315)
  expect(counts.completed).toBe(sorted.length)
  for (const quantiles of [duration, effect]) {
    expect(quantiles.count).toBe(sorted.length)
    near(quantiles.p50, sorted, 0.5)
    near(quantiles.p95, sorted, 0.95)
    near(quantiles.p99, sorted, 0.99)
  }
})

test.each([false, true])('each part of a chart has the counts and quantiles of its time (hour: %s)', (hour) => {
  const now = 95 * MINUTE + 20_000
  const { history, durations } = fed(now, (second) => 1 + ((second * 7919) % 1009))
  const { times, lengths, parts } = history.chart(now, hour)
  expect(times.length).toBe(60)
  expect(times.at(-1)).toBe(now)
  let completed = 0
  times.forEach((until, index) => {
    const from = until - (index === 59 ? until % lengths[0]! : lengths[index]!)
    const sorted = durations
      .filter(({ at }) => at >= from && at < until)
      .map(({ seconds }) => seconds)
      .sort(by)
    const { counts, percentiles } = parts[index]!
    expect(counts.completed).toBe(sorted.length)
    completed += counts.completed
    near(percentiles.duration.p50, sorted, 0.5)
    near(percentiles.duration.p95, sorted, 0.95)
  })
  expect(completed).toBeGreaterThan(hour ? 3_500 : 880)
})

test('the histogram of a range has every duration in it', () => {
  const { history } = fed(70 * MINUTE, () => 100)
  const count = (hour: boolean) =>
    [...history.chart(70 * MINUTE, hour).durations.buckets()].reduce((sum, [, n]) => sum + n, 0)
  expect(count(false)).toBe(15 * 60)
  expect(count(true)).toBe(59 * 60)
})

test('after hours of silence nothing of before is left, and parts without anything are empty', () => {
  const { history, gauges } = fed(10 * MINUTE, () => 100)
  gauges.waiting = 3
  const now = 5 * 60 * MINUTE
  const chart = history.chart(now, true)
  expect(chart.parts.map(({ counts }) => counts.completed)).toEqual(new Array(60).fill(0))
  expect(chart.parts.every(({ waiting }) => waiting === 3)).toBe(true)
  expect(history.recent(now)).toMatchObject({ duration: { count: 0 }, counts: { completed: 0 } })
  expect(history.sparkline(now).completed).toEqual(new Array(60).fill(0))
})

test('the line of 15 minutes has 60 parts, the oldest first, and the failures apart', () => {
  const history = new TaskHistory(0, () => ({ waiting: 0, running: 0 }))
  history.finished(job(), 'failed', 1, 0)
  history.advance(MINUTE)
  history.finished(job(), 'completed', 1, MINUTE)
  history.finished(job(), 'completed', 1, MINUTE)
  const { completed, failed } = history.sparkline(MINUTE)
  expect([completed.length, failed.length]).toEqual([60, 60])
  expect(completed.slice(-5)).toEqual([0, 0, 0, 0, 2])
  expect(failed.slice(-5)).toEqual([1, 0, 0, 0, 0])
})

test('errors are grouped by type with an example each, counted by the minute, and bounded', () => {
  const { errors } = new TaskHistory(0, () => ({ waiting: 0, running: 0 }))
  const add = (type: string, now: number, message = 'no') =>
    errors.add({ type, message, stack: 'at somewhere' }, `id-${now}`, 'abc', now)
  add('TypeError', 0)
  add('TypeError', 30 * MINUTE, 'the latest')
  add('RangeError', 30 * MINUTE)
  expect(errors.read(31 * MINUTE, 60 * MINUTE)).toMatchObject([
    { type: 'TypeError', count: 2, lastAt: 30 * MINUTE, example: { message: 'the latest', id: `id-${30 * MINUTE}` } },
    { type: 'RangeError', count: 1 },
  ])
  expect(errors.read(31 * MINUTE, 15 * MINUTE)).toMatchObject([{ count: 1 }, { count: 1 }])
  expect(errors.read(200 * MINUTE, 60 * MINUTE)).toEqual([])
  for (let i = 0; i < 1_000; i++) add(`Error${i}`, 240 * MINUTE, 'x'.repeat(10_000))
  const groups = errors.read(241 * MINUTE, 60 * MINUTE)
  expect(groups.length).toBeLessThanOrEqual(21)
  expect(groups[0]).toMatchObject({ type: '_other' })
  expect(groups.reduce((sum, { count }) => sum + count, 0)).toBe(1_000)
  expect(groups.every(({ example }) => example.message.length <= 500)).toBe(true)
  // Those that nobody saw for an hour make room.
  add('New', 320 * MINUTE)
  expect(errors.read(320 * MINUTE, 60 * MINUTE).map(({ type }) => type)).toContain('New')
})

test('the slowest attempts are those of the range, the latest are the last, and both are few', () => {
  const { history } = fed(70 * MINUTE, (second) => (second === 600 ? 90_000 : second % 100))
  const now = 70 * MINUTE
  const slowest = history.attempts.slowest(now, 60 * MINUTE)
  expect(slowest[0]).toMatchObject({ duration: 90, route: '/orders' })
  expect(history.attempts.slowest(now, 15 * MINUTE)[0]!.duration).toBe(0.099)
  expect(slowest.length).toBeLessThanOrEqual(20)
  expect(history.attempts.latest()).toHaveLength(20)
  expect(history.attempts.latest()[0]!.duration).toBe(0.099)
})
