import fc from 'fast-check'
import { expect, test } from 'vitest'
import { windowOf } from '../../../src/dashboard/ui/parts/virtual-window.ts'

test('of 10,000 rows those in sight and some beyond are drawn', () => {
  expect(windowOf(0, 600, 30, 10_000)).toEqual({ first: 0, end: 32 })
  expect(windowOf(150_000, 600, 30, 10_000)).toEqual({ first: 4_988, end: 5_032 })
  expect(windowOf(299_400, 600, 30, 10_000)).toEqual({ first: 9_968, end: 10_000 })
})

test('of a list that has become shorter than it is scrolled, or is empty, nothing is drawn beyond its end', () => {
  expect(windowOf(9_000, 600, 30, 5)).toEqual({ first: 5, end: 5 })
  expect(windowOf(-40, 600, 30, 0)).toEqual({ first: 0, end: 0 })
})

test('all rows in sight are drawn, wherever it is scrolled to, and never many more', () => {
  const number = (max: number) => fc.integer({ min: 0, max })
  fc.assert(
    fc.property(
      number(400_000),
      number(2_000),
      fc.integer({ min: 10, max: 80 }),
      number(10_000),
      (scrolled, height, row, total) => {
        const { first, end } = windowOf(scrolled, height, row, total)
        const inSight = Array.from({ length: total }, (_, index) => index).filter(
          (index) => index * row < scrolled + height && (index + 1) * row > scrolled,
        )
        for (const index of inSight) expect(index >= first && index < end).toBe(true)
        expect(end - first).toBeLessThanOrEqual(height / row + 26)
      },
    ),
    { numRuns: 50 },
  )
})
