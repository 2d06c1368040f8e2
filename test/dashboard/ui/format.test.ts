import { describe, expect, test } from 'vitest'
import { bytes, count, counted, duration, NONE, rate, ratio, short } from '../../../src/dashboard/ui/words/format.ts'

describe('a duration', () => {
  test.each([
    [null, NONE],
    [Number.NaN, NONE],
    [Number.POSITIVE_INFINITY, NONE],
    [0, '0 ms'],
    [-1, '0 ms'],
    [0.000_052, '52 µs'],
    [0.000_999_9, '1 ms'],
    [0.001_234, '1.23 ms'],
    [0.0521, '52.1 ms'],
    [0.9996, '1 s'],
    [1.2345, '1.23 s'],
    [59.94, '59.9 s'],
    [59.96, '1 min'],
    [65, '1 min 5 s'],
    [372, '6 min 12 s'],
    [3_599.6, '1 h'],
    [7_260, '2 h 1 min'],
    [86_400, '1 d'],
    [187_345, '2 d 4 h'],
  ])('of %d s reads %s', (seconds, words) => expect(duration(seconds)).toBe(words))

  test.each([
    [null, NONE],
    [0, '0 ms'],
    [0.000_21, '210 µs'],
    [0.006_51, '6.5 ms'],
    [0.0134, '13 ms'],
    [0.389_9, '390 ms'],
    [0.9996, '1 s'],
    [2.79, '2.8 s'],
    [59.4, '59 s'],
    [59.6, '1 min'],
    [126, '2.1 min'],
    [3_590, '1 h'],
    [7_300, '2 h'],
    [86_400, '1 d'],
  ])('of %d s is %s where there is little room', (seconds, words) => expect(short(seconds)).toBe(words))
})

describe('a rate', () => {
  test.each([
    [null, NONE],
    [0, '0/s'],
    [1_234.5, '1,235/s'],
    [84.23, '84.2/s'],
    [0.1, '0.1/s'],
    [0.05, '3/min'],
    [0.0028, '0.17/min'],
    [0.000_5, '1.8/h'],
  ])('of %d a second reads %s', (perSecond, words) => expect(rate(perSecond)).toBe(words))
})

describe('a share', () => {
  test.each([
    [null, NONE],
    [0, '0 %'],
    [0.000_001, '< 0.01 %'],
    [0.000_12, '0.012 %'],
    [0.0612, '6.1 %'],
    [0.3423, '34.2 %'],
    [0.9995, '> 99.9 %'],
    [1, '100 %'],
  ])('of %d reads %s', (share, words) => expect(ratio(share)).toBe(words))
})

test('counts are grouped by thousands, and bytes are in the unit in which they read best', () => {
  expect([0, 999, 1_000, 1_234_567].map(count)).toEqual(['0', '999', '1,000', '1,234,567'])
  expect(count(null)).toBe(NONE)
  expect([0, 1_023, 1_024, 412e6, 2 ** 31, 5e15].map(bytes)).toEqual([
    '0 B',
    '1023 B',
    '1 KiB',
    '393 MiB',
    '2 GiB',
    '4547 TiB',
  ])
  expect([counted(1, 'span'), counted(2_000, 'span')]).toEqual(['1 span', '2,000 spans'])
})
