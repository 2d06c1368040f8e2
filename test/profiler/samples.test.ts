import { describe, expect, test } from 'vitest'
import type { Sample } from '../../src/profiler/sample.ts'
import { SampleRing } from '../../src/profiler/sample-ring.ts'
import { SlowAttempts } from '../../src/profiler/slow.ts'
import { framesOf, placeOf, StackTable } from '../../src/profiler/stacks.ts'
import { cpuTimes, wallTimes } from '../../src/profiler/window.ts'
import { frame, sample } from './made.ts'

describe('the time that a tick stands for', () => {
  const at = (...moments: number[]) => moments.map((at) => ({ at, cpu: 0 }))

  test('reaches half the way to its neighbours, and the last one up to the end', () => {
    expect(wallTimes(at(10, 20, 30), 10, 33)).toEqual([10, 10, 8])
  })

  test('is found whatever the order in which they come', () => {
    expect(wallTimes(at(30, 10, 20), 10, 33)).toEqual([8, 10, 10])
  })

  test('is two intervals at most, unless that much CPU was used', () => {
    expect(wallTimes(at(10, 110, 210), 10, 211)[1]).toBe(20)
    const syscall = [
      { at: 10, cpu: 10 },
      { at: 110, cpu: 95 },
      { at: 120, cpu: 10 },
    ]
    expect(wallTimes(syscall, 10, 121)[1]).toBe(95)
    // Never more than there was time.
    expect(
      wallTimes(
        [
          { at: 10, cpu: 0 },
          { at: 20, cpu: 900 },
        ],
        10,
        21,
      )[1],
    ).toBeLessThanOrEqual(10)
  })
})

describe('the CPU that a tick stands for', () => {
  const tick = (cpu: number, idle = false) => ({ cpu, idle })

  test('is what was used since the one before, where the thread was busy', () => {
    expect(cpuTimes([tick(10), tick(9)], [10, 10], 19)).toEqual([10, 9])
  })

  test('is more where only short stretches ran: idle ticks found what they had used', () => {
    // A stretch of 1 ms in each 10 ms: nine of ten ticks find the thread idle after 1 ms of CPU.
    const ticks = [tick(1), ...Array.from({ length: 9 }, () => tick(1, true))]
    expect(cpuTimes(ticks, new Array(10).fill(10), 10)[0]).toBeCloseTo(10)
  })

  test('goes to the short stretches, and not to those that lasted', () => {
    const ticks = [
      ...Array.from({ length: 20 }, () => tick(10)),
      tick(1),
      ...Array.from({ length: 9 }, () => tick(1, true)),
    ]
    const cpus = cpuTimes(ticks, new Array(30).fill(10), 210)
    expect(cpus[0]).toBe(10)
    expect(cpus[20]).toBeCloseTo(10)
  })

  test('with what came after the last tick it is what the thread has used', () => {
    expect(cpuTimes([tick(10), tick(10)], [10, 15], 24)).toEqual([10, 14])
  })

  test('never invents any: time in which the thread waited is none', () => {
    expect(cpuTimes([tick(0), tick(0)], [10, 10], 0)).toEqual([0, 0])
    expect(cpuTimes([tick(2), tick(500, true)], [10, 10], 502)).toEqual([10, 0])
  })
})

describe('the samples that are kept', () => {
  const made = (at: number) => sample(at, ['f']) as unknown as Sample
  const times = (ring: SampleRing) => [...ring.since(0)].map(({ at }) => at)

  test('are the latest, bounded by number', () => {
    const ring = new SampleRing(3)
    ring.push([1, 2, 3, 4].map(made))
    expect(times(ring)).toEqual([4, 3, 2])
    expect(ring.lostUntil).toBe(1)
    for (let at = 5; at < 1_000; at++) ring.push([made(at)])
    expect(ring.size).toBe(3)
    expect(times(ring)).toEqual([999, 998, 997])
  })

  test('and by age', () => {
    const ring = new SampleRing(100, 50)
    ring.push([10, 60, 90].map(made))
    ring.expire(100)
    expect(times(ring)).toEqual([90, 60])
    expect([...ring.since(70)]).toHaveLength(1)
    ring.clear()
    expect(ring.size).toBe(0)
  })
})

describe('stacks', () => {
  test('equal ones are one object, until there are too many', () => {
    const table = new StackTable(5)
    const stack = () => table.stack([table.frame('a', '', 0), table.frame('b', '/app.js', 3)])
    const first = stack()
    expect(stack()).toBe(first)
    expect(table.size).toBe(2)
    for (let i = 0; i < 10; i++) table.stack([table.frame(`f${i}`, '', 0)])
    table.trim()
    expect(table.size).toBe(0)
    expect(stack()).not.toBe(first)
    expect([...framesOf(first)].map(({ name }) => name)).toEqual(['b', 'a'])
  })

  test('the place is the innermost function of the app, or else the innermost with a name', () => {
    const place = (...frames: string[]) => placeOf(sample(0, frames).stack)
    expect(place('handler /app/a.js:1', 'own /app/b.js:2', 'lib /app/node_modules/x/i.js:9', 'read node:fs:7')).toBe(
      frame('own /app/b.js:2'),
    )
    expect(place('lib /app/node_modules/x/i.js:9', '(anonymous:L#1) node:fs:7')).toBe(
      frame('lib /app/node_modules/x/i.js:9'),
    )
    expect(place('(garbage collection)')).toBe(frame('(garbage collection)'))
  })
})

describe('slow attempts', () => {
  test('are those over the threshold, so many a minute', () => {
    const slow = new SlowAttempts({ threshold: 200, factor: undefined, perMinute: 2 })
    const found = [100, 200, 300, 400].map((ms) => slow.check('a', ms, 1_000))
    expect(found).toEqual([undefined, 'threshold', 'threshold', undefined])
    expect(slow.check('a', 500, 60_000)).toBeUndefined()
    expect(slow.check('a', 500, 61_001)).toBe('threshold')
  })

  test('and those over so many times the p99 of their own task, when that is known', () => {
    const slow = new SlowAttempts({ threshold: undefined, factor: 3, perMinute: 100 })
    for (let i = 0; i < 99; i++) expect(slow.check('a', 50, 0)).toBeUndefined()
    expect(slow.check('a', 5_000, 0)).toBeUndefined()
    const other = new SlowAttempts({ threshold: undefined, factor: 3, perMinute: 100 })
    for (let i = 0; i < 200; i++) other.check('a', 50, 0)
    expect(other.check('a', 140, 0)).toBeUndefined()
    expect(other.check('a', 160, 0)).toBe('p99')
    expect(other.check('b', 160, 0)).toBeUndefined()
  })

  test('one that is too short to be seen is none', () => {
    const slow = new SlowAttempts({ threshold: undefined, factor: 3, perMinute: 100 })
    for (let i = 0; i < 200; i++) slow.check('a', 1, 0)
    expect(slow.check('a', 90, 0)).toBeUndefined()
  })
})
