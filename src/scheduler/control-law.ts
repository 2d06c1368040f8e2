/**
 * How limits follow the delay of the event loop. Pure functions: what was used and measured goes in, limits come out.
 *
 * The delay that tasks cause is, as long as they don't fill the loop, in proportion to how much of them runs. So what has to
 * change is a factor, not a number, and the law is proportional in the logarithm: the limit is multiplied by the square root of
 * wanted over measured. That is half the way at each step, since what was measured is partly of before the last one. It is the
 * gradient of Netflix's concurrency-limits (`Gradient2Limit`: limit × wanted ÷ measured, within ½ and 1), with an upper side as
 * well, because here what is wanted is given and need not be searched for. `docs/governor.md` has the comparison with AIMD.
 */

import { PRIORITIES, type Priority } from '../model/words.ts'
import { LEAST, type Use } from './priority-limits.ts'

/** Shares of the delay that is allowed: between the two nothing changes, which is the hysteresis. */
export const BAND = { from: 0.7, to: 1 } as const
/** What is aimed at: the middle of the band. */
const AIM = (BAND.from + BAND.to) / 2
/** By how much a step may change a limit at most. */
const STEP = 2
/** By how much a lower priority gives way in the band, while a higher one wants more. */
const GIVES_WAY = 0.9

/** The next limit. @param limit What was used. @param pressure The delay as a share of what is allowed; outside the band. */
export type ControlLaw = (limit: number, pressure: number) => number

export const proportional: ControlLaw = (limit, pressure) =>
  limit * Math.min(STEP, Math.max(1 / STEP, Math.sqrt(AIM / pressure)))

/** From this share of the delay that is allowed on, the step down is the largest there is. */
export const WORST = AIM * STEP ** 2

/**
 * The one limit that changes, if any. Too late: the lowest priority that ran and is above its least goes down, from what it
 * used. In time: the highest that wants more goes up. In between: a lower one makes room for a higher one that wants more.
 */
export function adapt(
  uses: Readonly<Record<Priority, Use>>,
  pressure: number,
  law: ControlLaw = proportional,
): { readonly priority: Priority; readonly limit: number } | undefined {
  if (pressure > BAND.to) {
    const priority = PRIORITIES.findLast((priority) => canShrink(uses[priority]))
    if (priority === undefined) return undefined
    const { limit, mean } = uses[priority]
    const next = law(usedOf(uses[priority]), pressure)
    // Where more run than may, the last step is still to have its effect: only half a step.
    return shrink(priority, mean > Math.ceil(limit) ? Math.sqrt(limit * next) : next)
  }
  const wanting = PRIORITIES.find((priority) => uses[priority].wanting)
  if (wanting === undefined) return undefined
  if (pressure < BAND.from) return { priority: wanting, limit: law(uses[wanting].limit, pressure) }
  const lower = PRIORITIES.slice(PRIORITIES.indexOf(wanting) + 1).findLast((priority) => canShrink(uses[priority]))
  return lower && shrink(lower, usedOf(uses[lower]) * GIVES_WAY)
}

function shrink(priority: Priority, limit: number): { priority: Priority; limit: number } {
  return { priority, limit: Math.max(LEAST, limit) }
}

function usedOf({ limit, mean }: Use): number {
  return Math.min(limit, Math.max(LEAST, mean))
}

function canShrink(use: Use): boolean {
  return use.mean > 0 && use.limit > LEAST
}
