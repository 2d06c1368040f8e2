import { BAD_COLOUR, GOOD, WARNING } from './palette.ts'
import type { Step } from './panels.ts'
import type { Thresholds } from './parameters.ts'

/** Where a figure of the same kind changes its colour, on every dashboard alike. */
export function stepsOf({
  failureObjective,
  effectWithin,
  oldest,
}: Thresholds): Record<'failures' | 'seconds' | 'age' | 'budget', readonly Step[]> {
  const allowed = 1 - failureObjective
  return {
    failures: [
      [null, GOOD],
      [allowed, WARNING],
      [Math.min(1, 5 * allowed), BAD_COLOUR],
    ],
    seconds: [
      [null, GOOD],
      [effectWithin / 2, WARNING],
      [effectWithin, BAD_COLOUR],
    ],
    age: [
      [null, GOOD],
      [oldest / 2, WARNING],
      [oldest, BAD_COLOUR],
    ],
    budget: [
      [null, BAD_COLOUR],
      [0, WARNING],
      [0.25, GOOD],
    ],
  }
}

/** The share of the time from which on a task that holds the event loop is told of: requests wait as long. */
export const BLOCKED_SHARE = 0.1

/**
 * Below this limit a priority counts as held to the minimum: one attempt at a time that runs for less than a tenth of the time.
 * Below 1 alone is how a governor works where each attempt holds the event loop.
 */
export const HELD_BELOW = 0.1

/** Where the delay of an event loop changes its colour, in seconds. */
export const LOOP_DELAY = { warning: 0.05, bad: 0.2 } as const

/** A share as text, without the digits that only binary fractions have. */
export function percent(share: number): string {
  return `${Number((100 * share).toPrecision(10))} %`
}
