import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { clock, exact, iso, relative } from '../../../src/dashboard/ui/words/moments.ts'

const AT = Date.UTC(2026, 10, 23, 9, 5, 12, 345)

describe('how long ago', () => {
  test.each([
    [0, 'now'],
    [999, 'now'],
    [12_000, '12 s ago'],
    [59_999, '59 s ago'],
    [119_000, '1 min ago'],
    [3_599_000, '59 min ago'],
    [7_300_000, '2 h ago'],
    [200_000_000, '2 d ago'],
    [-5_000, 'in 5 s'],
    [-61_000, 'in 1 min'],
  ])('%d ms reads %s', (ms, words) => expect(relative(AT - ms, AT)).toBe(words))
})

describe('the exact moment', () => {
  const zone = process.env.TZ
  beforeEach(() => {
    process.env.TZ = 'Asia/Kolkata'
  })
  afterEach(() => {
    if (zone === undefined) delete process.env.TZ
    else process.env.TZ = zone
  })

  test('names its zone, UTC or local', () => {
    expect(exact(AT, 'utc')).toBe('2026-11-23 09:05:12.345 UTC')
    expect(exact(AT, 'local')).toBe('2026-11-23 14:35:12.345 +05:30')
    expect([clock(AT, 'utc'), clock(AT, 'local')]).toEqual(['09:05:12', '14:35:12'])
    expect(iso(AT)).toBe('2026-11-23T09:05:12.345Z')
  })

  test('of what is no date says so and throws nothing', () => {
    expect(exact(Number.NaN, 'utc')).toContain('no date')
    expect(exact(1e20, 'local')).toContain('no date')
    expect(iso(1e20)).toBe('')
  })
})
