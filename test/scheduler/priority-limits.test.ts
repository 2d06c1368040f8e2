import { ControlledClock } from 'afterspan/testing'
import { expect, test } from 'vitest'
import { LEAST, LONGEST_PAUSE, PriorityLimits } from '../../src/scheduler/priority-limits.ts'

function setUp(ceiling = 128) {
  const clock = new ControlledClock()
  let resumed = 0
  const limits = new PriorityLimits(clock, ceiling, () => resumed++)
  return {
    clock,
    limits,
    resumed: () => resumed,
    admits: () => limits.admits('low', clock.now()),
    start: () => limits.started('low', clock.now()),
    /** It has run for so long, and ends now. */
    end: (ran: number) => limits.ended('low', ran, clock.now()),
  }
}

test('a whole limit is how many run at once, and of a priority alone', () => {
  const { limits, admits, start, end, clock } = setUp()
  limits.set('low', 2)
  start()
  expect(admits()).toBe(true)
  start()
  expect(admits()).toBe(false)
  expect(limits.admits('medium', clock.now())).toBe(true)
  end(10)
  expect(admits()).toBe(true)
})

test('below 1 it is one at a time, with a pause that leaves it that share of the time', async () => {
  const { limits, admits, start, end, clock, resumed } = setUp()
  limits.set('low', 0.2)
  start()
  expect(admits()).toBe(false)
  await clock.advance(5)
  end(5)
  expect(admits()).toBe(false)
  const before = resumed()
  await clock.advance(19)
  expect(admits()).toBe(false)
  expect(resumed()).toBe(before)
  await clock.advance(1)
  expect(resumed()).toBe(before + 1)
  expect(admits()).toBe(true)
})

test('of 1.25 the second slot is there for a quarter of the time', async () => {
  const { limits, admits, start, end, clock } = setUp()
  limits.set('low', 1.25)
  start()
  start()
  await clock.advance(10)
  end(10)
  expect(admits()).toBe(false)
  await clock.advance(30)
  expect(admits()).toBe(true)
  end(40)
  // The slot that is always there needs no pause.
  expect(admits()).toBe(true)
})

test('however long an attempt ran and however low the limit is, the pause ends', async () => {
  const { limits, admits, start, end, clock } = setUp()
  limits.set('low', 0)
  expect(limits.limitOf('low')).toBe(LEAST)
  start()
  await clock.advance(60_000)
  end(60_000)
  expect(admits()).toBe(false)
  await clock.advance(LONGEST_PAUSE)
  expect(admits()).toBe(true)
})

test('pauses that are too short for a timer are added up', () => {
  const { limits, admits, start, end } = setUp()
  limits.set('low', 0.5)
  let started = 0
  for (; admits() && started < 100; started++) {
    start()
    end(0.125)
  }
  expect(started).toBe(8)
})

test('a limit that rises shortens the pause', async () => {
  const { limits, admits, start, end, resumed } = setUp()
  limits.set('low', 0.01)
  start()
  end(5)
  expect(admits()).toBe(false)
  const before = resumed()
  limits.set('low', 1)
  expect(resumed()).toBe(before + 1)
  expect(admits()).toBe(true)
})

test('it tells what was used on average, and whether more was wanted, and begins anew', async () => {
  const { limits, admits, start, end, clock } = setUp()
  limits.set('low', 2)
  start()
  start()
  await clock.advance(50)
  end(50)
  await clock.advance(50)
  expect(limits.take(clock.now()).low).toEqual({ limit: 2, mean: 1.5, wanting: false })
  start()
  expect(admits()).toBe(false)
  await clock.advance(100)
  expect(limits.take(clock.now()).low).toEqual({ limit: 2, mean: 2, wanting: true })
  expect(limits.take(clock.now()).low.wanting).toBe(false)
})

test('lifted, it holds nothing back', () => {
  const { limits, admits, start, resumed } = setUp()
  limits.set('low', 0.01)
  start()
  expect(admits()).toBe(false)
  const before = resumed()
  limits.lift()
  expect(resumed()).toBe(before + 1)
  expect(admits()).toBe(true)
})

test('the ceiling is no limit, infinite or not', () => {
  for (const ceiling of [2, Number.POSITIVE_INFINITY]) {
    const { limits, admits, start } = setUp(ceiling)
    for (let i = 0; i < 5; i++) start()
    expect(admits()).toBe(true)
    limits.set('low', 1)
    expect(admits()).toBe(false)
    limits.set('low', ceiling)
    expect(admits()).toBe(true)
  }
})
