import type { Place } from '../model/profiler.ts'

/** How it held the event loop. Seconds. */
export interface Blocked {
  readonly seconds: number
  readonly longest: number
  readonly stalls: number
  /** Where it was of late. */
  readonly place: Place | undefined
}

/** What happened in a part of time. */
export class Counts {
  completed = 0
  failed = 0
  cancelled = 0
  dropped = 0
  handed_off = 0
  retries = 0
  refused = 0
  blocked: Blocked | undefined = undefined
}

export const COUNTED = ['completed', 'failed', 'cancelled', 'dropped', 'handed_off', 'retries', 'refused'] as const

/** How many deferrals had their outcome. */
export function outcomesOf({ completed, failed, cancelled, dropped, handed_off }: Readonly<Counts>): number {
  return completed + failed + cancelled + dropped + handed_off
}

export function isEmpty(counts: Counts): boolean {
  return counts.blocked === undefined && COUNTED.every((key) => counts[key] === 0)
}

/** Adds to the first what is in the second. */
export function add(to: Counts, more: Readonly<Counts>): void {
  for (const key of COUNTED) to[key] += more[key]
  if (more.blocked !== undefined) to.blocked = together(to.blocked, more.blocked)
}

/** Of two parts of time, the earlier one first. */
export function together(one: Blocked | undefined, other: Blocked): Blocked {
  if (one === undefined) return other
  return {
    seconds: one.seconds + other.seconds,
    longest: Math.max(one.longest, other.longest),
    stalls: one.stalls + other.stalls,
    place: other.place ?? one.place,
  }
}
