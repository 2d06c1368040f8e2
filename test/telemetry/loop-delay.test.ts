import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LoopDelay } from '../../src/telemetry/loop-delay.ts'

/** A loop in which a timer comes when the test says so. */
let now = 0
let beat: () => void = () => {}
let stopped = 0
let worked = false

beforeEach(() => {
  now = 1_000
  stopped = 0
  worked = false
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  vi.stubGlobal('setInterval', (call: () => void) => {
    beat = call
    return { unref() {} }
  })
  vi.stubGlobal('clearInterval', () => stopped++)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

function setUp() {
  const told: { delay: number; ms: number }[] = []
  const meter = new LoopDelay(1, () => worked)
  meter.start((delay, ms) => told.push({ delay, ms }))
  const gap = (ms: number, withWork: boolean) => {
    now += ms
    worked = withWork
    beat()
  }
  /** Each of these gaps in turn, over and over. */
  const pass = (ms: number, ...gaps: readonly (readonly [ms: number, withWork: boolean])[]) => {
    const end = now + ms
    for (let i = 0; now < end; i++) gap(...gaps[i % gaps.length]!)
  }
  return { meter, told, pass }
}

const quiet = [1.1, false] as const

test('tells every 200 ms what somebody who comes at any moment waits, beyond what is usual', () => {
  const { told, pass } = setUp()
  pass(2_000, quiet)
  expect(told.length).toBe(9)
  for (const { delay, ms } of told) {
    expect(delay).toBeCloseTo(0, 6)
    expect(ms).toBeGreaterThanOrEqual(200)
    expect(ms).toBeLessThan(202)
  }
  // 5 ms of 25: one in five waits 2.5 ms.
  pass(2_000, [5, true], ...Array(18).fill(quiet))
  expect(told.at(-1)!.delay).toBeGreaterThan(0.35)
  expect(told.at(-1)!.delay).toBeLessThan(0.5)
  // Without a pause everybody does.
  pass(2_000, [50, true])
  expect(told.at(-1)!.delay).toBeGreaterThan(24)
  expect(told.at(-1)!.delay).toBeLessThan(25)
})

test('long stretches weigh more than short ones of the same time together', () => {
  const { told, pass } = setUp()
  pass(1_000, quiet)
  pass(1_000, [100, true], ...Array(90).fill(quiet))
  const long = told.at(-1)!.delay
  pass(2_000, quiet)
  pass(2_000, [10, true], ...Array(9).fill(quiet))
  expect(long).toBeGreaterThan(5 * told.at(-1)!.delay)
})

test('what the loop is late by while no work runs is usual, and is not laid to the work’s charge', () => {
  const { told, pass } = setUp()
  pass(10_000, [20, false], ...Array(18).fill(quiet))
  pass(5_000, [20, false], ...Array(9).fill(quiet), [1.1, true], ...Array(9).fill(quiet))
  expect(told.at(-1)!.delay).toBeLessThan(0.5)
  // The work on top of it is.
  pass(5_000, [20, false], ...Array(9).fill(quiet), [20, true], ...Array(9).fill(quiet))
  expect(told.at(-1)!.delay).toBeGreaterThan(1)
})

test('what was usual once is not for ever: work that never rests cannot hide behind it', () => {
  const { told, pass } = setUp()
  pass(10_000, [20, false], ...Array(5).fill(quiet))
  // Less is late now, and the work runs all the time.
  pass(10_000, [1.1, true])
  pass(5_000, [10, true], ...Array(5).fill([1.1, true]))
  expect(told.at(-1)!.delay).toBeGreaterThan(2)
})

test('without anything to compare with, a timer that is on time is usual', () => {
  const { told, pass } = setUp()
  pass(1_000, [1.2, true])
  for (const { delay } of told) expect(delay).toBeCloseTo(0, 6)
  pass(1_000, [10, true])
  expect(told.at(-1)!.delay).toBeGreaterThan(4)
})

test('stops, and starts anew without what was in between', () => {
  const { meter, told, pass } = setUp()
  pass(300, quiet)
  meter.stop()
  expect(stopped).toBe(1)
  const { length } = told
  now += 60_000
  meter.start((delay, ms) => told.push({ delay, ms }))
  pass(300, quiet)
  expect(told.slice(length)).toHaveLength(1)
  expect(told.at(-1)!.delay).toBeCloseTo(0, 6)
})
