import { describe, expect, test } from 'vitest'
import { aimd } from '../../bench/aimd.ts'
import { PRIORITIES } from '../../src/model/words.ts'
import { BAND, type ControlLaw, proportional } from '../../src/scheduler/control-law.ts'
import { LEAST } from '../../src/scheduler/priority-limits.ts'
import { SimulatedLoop } from './simulated-loop.ts'

const ENDLESS = Number.POSITIVE_INFINITY

function spread(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) / mean
}

describe('tasks that hold the loop', () => {
  // Without a governor the last of them would cause 5, 4 and 2.5 times what is allowed.
  test.each([
    { maxLoopDelay: 0.5, hold: 5 },
    { maxLoopDelay: 5, hold: 40 },
    { maxLoopDelay: 1, hold: 5 },
  ])('of $hold ms, $maxLoopDelay ms allowed: within 2 s the delay is in the band, and stays there', (given) => {
    const loop = new SimulatedLoop(given.maxLoopDelay)
    loop.set('medium', { hold: given.hold, io: 0, rate: ENDLESS })
    loop.run(2_000)
    loop.forget()
    loop.run(30_000)
    expect(loop.pressure).toBeGreaterThan(BAND.from)
    expect(loop.pressure).toBeLessThan(BAND.to)
    // Nothing flaps: once there, the limit does not move at all.
    expect(new Set(loop.limits.map(({ medium }) => medium)).size).toBe(1)
  })

  test('with a measurement that is half wrong the delay is still what is allowed, and the limit stays within its neighbourhood', () => {
    const loop = new SimulatedLoop(1)
    loop.noise = 0.5
    loop.set('medium', { hold: 5, io: 0, rate: ENDLESS })
    loop.run(3_000)
    loop.forget()
    loop.run(60_000)
    expect(loop.pressure).toBeGreaterThan(0.6)
    expect(loop.pressure).toBeLessThan(1.1)
    expect(spread(loop.limits.map(({ medium }) => medium))).toBeLessThan(0.35)
  })

  test('that run side by side between their slices are held back by their number', () => {
    const loop = new SimulatedLoop(1)
    loop.set('medium', { hold: 3, io: 20, rate: ENDLESS })
    loop.run(5_000)
    loop.forget()
    loop.run(10_000)
    expect(loop.pressure).toBeGreaterThan(0.5)
    expect(loop.pressure).toBeLessThan(1.1)
    expect(loop.most.medium).toBeGreaterThan(1)
  })

  test('of which one alone is too much still start, at least once in the longest pause', () => {
    const loop = new SimulatedLoop(0.1)
    for (const priority of PRIORITIES) loop.set(priority, { hold: 80, io: 0, rate: ENDLESS })
    loop.run(20_000)
    loop.forget()
    loop.run(10_000)
    for (const priority of PRIORITIES) {
      expect(loop.limit(priority)).toBe(LEAST)
      expect(loop.started[priority]).toBeGreaterThanOrEqual(7)
    }
  })
})

describe('tasks that wait for I/O', () => {
  const io = { hold: 0.05, io: 100, rate: ENDLESS }

  test('have all of the concurrency at any time', () => {
    const loop = new SimulatedLoop(5)
    loop.set('medium', io)
    for (let second = 0; second < 10; second++) {
      loop.run(1_000)
      expect(loop.limit('medium')).toBe(128)
    }
    loop.forget()
    loop.run(1_000)
    expect(loop.most.medium).toBe(128)
  })

  test('have it again within 3 s after others had brought the limit down', () => {
    const loop = new SimulatedLoop(0.5)
    loop.set('medium', { hold: 5, io: 0, rate: ENDLESS })
    loop.run(5_000)
    expect(loop.limit('medium')).toBeLessThan(0.3)
    loop.set('medium', { ...io, hold: 0.005 })
    loop.run(3_000)
    expect(loop.limit('medium')).toBe(128)
  })

  test('and come now and then leave the limit as it was', () => {
    const loop = new SimulatedLoop(1)
    loop.set('medium', { hold: 5, io: 0, rate: ENDLESS })
    loop.run(5_000)
    const learned = loop.limit('medium')
    loop.set('medium', undefined)
    loop.run(60_000)
    loop.set('medium', { hold: 0.05, io: 5, rate: 2 })
    loop.run(10_000)
    expect(loop.limit('medium')).toBe(learned)
  })
})

describe('priorities', () => {
  test('low is held back before medium, and medium before high, which is not as long as that is enough', () => {
    const loop = new SimulatedLoop(1)
    for (const priority of PRIORITIES) loop.set(priority, { hold: 4, io: 0, rate: priority === 'high' ? 60 : 80 })
    let lowFell = false
    let mediumFell = false
    for (let step = 0; step < 100; step++) {
      loop.run(200)
      const { high, medium, low } = loop.governor.read().limits
      mediumFell ||= medium < 128
      lowFell ||= low < 0.1
      if (medium < 128) expect(lowFell).toBe(true)
      expect(high).toBe(128)
    }
    expect(mediumFell).toBe(true)
    loop.forget()
    loop.run(10_000)
    expect(loop.started.high).toBeGreaterThan(590)
    expect(loop.started.medium).toBeGreaterThan(10 * loop.started.low)
    expect(loop.pressure).toBeLessThan(1.05)
  })

  test('high is let go first, low last', () => {
    const loop = new SimulatedLoop(0.3)
    for (const priority of PRIORITIES) loop.set(priority, { hold: 20, io: 0, rate: ENDLESS })
    loop.run(20_000)
    for (const priority of PRIORITIES) expect(loop.limit(priority)).toBeLessThan(0.1)
    for (const priority of PRIORITIES)
      loop.set(priority, { hold: 0.01, io: 20, rate: priority === 'low' ? ENDLESS : 2_000 })
    const rose = new Map<string, number>()
    for (let step = 0; step < 150; step++) {
      loop.run(200)
      for (const priority of PRIORITIES) if (loop.limit(priority) > 1 && !rose.has(priority)) rose.set(priority, step)
    }
    expect([...rose.keys()]).toEqual(['high', 'medium', 'low'])
  })

  test('a high one that comes later has its way, though low had filled what is allowed', () => {
    const loop = new SimulatedLoop(1)
    loop.set('low', { hold: 5, io: 0, rate: ENDLESS })
    loop.run(5_000)
    const alone = loop.limit('low')
    loop.set('high', { hold: 5, io: 0, rate: 40 })
    loop.run(5_000)
    loop.forget()
    loop.run(10_000)
    expect(loop.limit('high')).toBe(128)
    expect(loop.started.high).toBeGreaterThan(390)
    expect(loop.limit('low')).toBeLessThan(alone / 1.5)
    expect(loop.pressure).toBeLessThan(1.05)
  })
})

describe('it says so', () => {
  test('once when it holds back and once when it lets go, and short pauses are no news', () => {
    const loop = new SimulatedLoop(1)
    loop.set('low', { hold: 5, io: 0, rate: ENDLESS })
    loop.run(500)
    expect(loop.lines).toEqual([])
    loop.run(30_000)
    expect(loop.governor.read().holdsBack).toBe(true)
    expect(loop.governor.read().heldFor.low).toBeGreaterThan(28)
    loop.set('low', undefined)
    loop.run(5_000)
    expect(loop.governor.read()).toMatchObject({ holdsBack: false, delay: 0, heldFor: { low: null } })
    expect(loop.lines).toEqual([
      expect.stringMatching(
        /^afterspan: tasks of priority low are held back; .* ms on average \(governor.maxLoopDelay: 1 ms\)$/,
      ),
      expect.stringMatching(/^afterspan: tasks are not held back any more, after \d+\.\d s$/),
    ])
  })

  test('at most once in 10 s', () => {
    const loop = new SimulatedLoop(1)
    for (let time = 0; time < 40_000; time += 4_000) {
      loop.set('low', { hold: 5, io: 0, rate: ENDLESS })
      loop.run(2_000)
      loop.set('low', undefined)
      loop.run(2_000)
    }
    expect(loop.lines.filter((line) => line.includes('are held back')).length).toBeLessThanOrEqual(4)
    expect(loop.lines.length).toBeLessThanOrEqual(8)
  })
})

describe('the law, beside AIMD', () => {
  function measured(law: ControlLaw) {
    const loop = new SimulatedLoop(1, { law })
    loop.noise = 0.5
    loop.set('medium', { hold: 5, io: 0, rate: ENDLESS })
    loop.run(3_000)
    loop.forget()
    loop.run(60_000)
    const { pressure } = loop
    const started = loop.started.medium / 60
    loop.set('medium', { hold: 0.02, io: 100, rate: ENDLESS })
    let recovery = 0
    for (; loop.limit('medium') < 128 && recovery < 120; recovery += 0.2) loop.run(200)
    return { pressure, started, recovery }
  }

  test('uses more of what is allowed, no more than that, and lets I/O go ten times as soon', () => {
    const chosen = measured(proportional)
    const other = measured(aimd)
    expect(chosen.pressure).toBeLessThan(1)
    expect(chosen.started).toBeGreaterThan(1.1 * other.started)
    expect(10 * chosen.recovery).toBeLessThan(other.recovery)
  })
})
