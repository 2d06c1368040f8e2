import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PRIORITIES } from '../../src/model/words.ts'
import { adapt, BAND, proportional } from '../../src/scheduler/control-law.ts'
import { LEAST, type Use } from '../../src/scheduler/priority-limits.ts'

const IDLE: Use = { limit: 128, mean: 0, wanting: false }
const busy = (mean: number, limit = 128, wanting = false): Use => ({ limit, mean, wanting })

test('too late: the lowest that ran goes down, from what it used', () => {
  const change = adapt({ high: busy(3), medium: busy(2), low: busy(4) }, 4)
  expect(change).toEqual({ priority: 'low', limit: 2 })
  expect(adapt({ high: busy(3), medium: busy(2), low: IDLE }, 4)).toEqual({ priority: 'medium', limit: 1 })
})

test('one that is at its least stands in nobody’s way', () => {
  expect(adapt({ high: busy(3), medium: busy(2), low: busy(LEAST, LEAST) }, 4)?.priority).toBe('medium')
  expect(adapt({ high: busy(3), medium: busy(LEAST, LEAST), low: IDLE }, 4)?.priority).toBe('high')
  expect(adapt({ high: busy(LEAST, LEAST), medium: IDLE, low: IDLE }, 4)).toBeUndefined()
})

test('in time: the highest that wants more goes up, and only one that does', () => {
  const uses = { high: busy(1, 1, true), medium: busy(0.1, 0.1, true), low: busy(LEAST, LEAST, true) }
  expect(adapt(uses, 0.1)).toEqual({ priority: 'high', limit: 2 })
  expect(adapt({ ...uses, high: busy(0.5, 1) }, 0.1)).toEqual({ priority: 'medium', limit: 0.2 })
  expect(adapt({ high: IDLE, medium: busy(1, 2), low: IDLE }, 0)).toBeUndefined()
})

test('in between nothing changes, but that a lower one makes room for a higher one that wants more', () => {
  for (const pressure of [BAND.from, 0.85, BAND.to]) {
    expect(adapt({ high: busy(3), medium: IDLE, low: busy(1, 1, true) }, pressure)).toBeUndefined()
    const change = adapt({ high: IDLE, medium: busy(0.1, 0.1, true), low: busy(1) }, pressure)
    expect(change).toEqual({ priority: 'low', limit: 0.9 })
  }
})

test('the further off the larger the step, half the way and at most to double or half', () => {
  expect(proportional(1, 0)).toBe(2)
  expect(proportional(1, 100)).toBe(0.5)
  expect(proportional(1, 0.85)).toBe(1)
  expect(proportional(1, 1.7)).toBeCloseTo(Math.SQRT1_2)
})

const anyUse = fc.record({
  limit: fc.double({ min: LEAST, max: 128, noNaN: true }),
  mean: fc.double({ min: 0, max: 128, noNaN: true }),
  wanting: fc.boolean(),
})

test('whatever was used and measured: never to zero, one at a time, down when too late and up when in time', () => {
  fc.assert(
    fc.property(
      fc.record({ high: anyUse, medium: anyUse, low: anyUse }),
      fc.double({ min: 0, max: 1e6, noNaN: true }),
      (uses, pressure) => {
        const change = adapt(uses, pressure)
        if (change === undefined) return
        const use = uses[change.priority]
        expect(change.limit).toBeGreaterThanOrEqual(LEAST)
        if (pressure < BAND.from) expect(change.limit).toBeGreaterThan(use.limit)
        else expect(change.limit).toBeLessThanOrEqual(use.limit)
        const lower = PRIORITIES.slice(PRIORITIES.indexOf(change.priority) + 1).map((priority) => uses[priority])
        if (pressure > BAND.to) expect(lower.every(({ limit, mean }) => limit <= LEAST || mean === 0)).toBe(true)
      },
    ),
  )
})
