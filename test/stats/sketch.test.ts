import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Sketch } from '../../src/stats/sketch.ts'

test('quantiles are within 1 % of the exact ones, mean and max exact, for any durations from 1 µs to 11 days', () => {
  const seconds = fc.double({ min: 1e-6, max: 1e6, noNaN: true })
  fc.assert(
    fc.property(fc.array(seconds, { minLength: 1, maxLength: 500 }), (values) => {
      const sketch = new Sketch()
      for (const value of values) sketch.record(value)
      const sorted = values.toSorted((a, b) => a - b)
      for (const q of [0, 0.5, 0.95, 0.99, 1]) {
        const exact = sorted[Math.max(0, Math.ceil(q * sorted.length - 1e-6) - 1)]!
        expect(Math.abs(sketch.quantile(q)! - exact) / exact).toBeLessThanOrEqual(0.0101)
      }
      const { count, mean, max } = sketch.summary()
      expect(count).toBe(values.length)
      expect(mean).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / values.length, 5)
      expect(max).toBe(sorted.at(-1))
    }),
  )
})

test.each([
  [1, [1, 1, 1]],
  [2, [1, 2, 2]],
  [20, [10, 19, 20]],
  [100, [50, 95, 99]],
  [101, [51, 96, 100]],
])('of the values 1 to %i, p50, p95 and p99 are the nearest ranks', (count, expected) => {
  const sketch = new Sketch()
  for (let value = 1; value <= count; value++) sketch.record(value)
  const { p50, p95, p99 } = sketch.summary()
  for (const [index, found] of [p50, p95, p99].entries())
    expect(Math.abs(found! / expected[index]! - 1)).toBeLessThan(0.01)
})

test('merged sketches are the sketch of all values; an empty one has no figures', () => {
  const [a, b, all] = [new Sketch(), new Sketch(), new Sketch()]
  for (let index = 1; index <= 1_000; index++) {
    ;(index % 2 === 0 ? a : b).record(index / 1_000)
    all.record(index / 1_000)
  }
  a.merge(b)
  a.merge(new Sketch())
  expect({ ...a.summary(), mean: 0 }).toEqual({ ...all.summary(), mean: 0 })
  expect(new Sketch().summary()).toEqual({ count: 0, mean: null, p50: null, p95: null, p99: null, max: null })
})

test('zero and negative durations count as the smallest, and nothing is ever negative', () => {
  const sketch = new Sketch()
  sketch.record(0)
  expect(sketch.summary()).toMatchObject({ count: 1, mean: 0, max: 0, p50: 0 })
})
