import type { Clock } from '../model/clock.ts'
import { PRIORITIES, type Priority } from '../model/words.ts'
import type { Gate } from './gate.ts'

/** The least that any priority is left with: a hundredth of one attempt. */
export const LEAST = 0.01
/** The longest pause between two attempts, ms: nothing is ever held back for good. */
export const LONGEST_PAUSE = 1_000
/** Shorter pauses than a timer can make are added up, ms. */
const SHORTEST_PAUSE = 1

/** What one priority has used since it was asked last. */
export interface Use {
  readonly limit: number
  /** How many attempts ran at once, on average over the time. */
  readonly mean: number
  /** Something waited that would have started, had the limit been higher. */
  readonly wanting: boolean
}

class Share {
  limit: number
  running = 0
  wanting = false
  // Of the slot that is there for a part of the time only: for how long it was used since its last pause, and up to when.
  worked = 0
  workedUntil = Number.NEGATIVE_INFINITY
  // Slots taken × ms since `usedFrom`, reckoned up to `usedUpTo`.
  used = 0
  usedFrom: number
  usedUpTo: number

  constructor(limit: number, now: number) {
    this.limit = limit
    this.usedFrom = now
    this.usedUpTo = now
  }

  /** How long the part-time slot has to pause, ms. */
  get pause(): number {
    const part = this.limit - Math.floor(this.limit)
    const pause = this.worked * (1 / part - 1)
    return pause < SHORTEST_PAUSE ? 0 : Math.min(LONGEST_PAUSE, pause)
  }

  reckon(now: number): void {
    this.used += this.running * (now - this.usedUpTo)
    this.usedUpTo = now
  }
}

/**
 * How many attempts of each priority may run at once; a limit need not be whole. Of 2.25 the first two slots are always
 * there, and the third for a quarter of the time: after an attempt that took all three, it pauses for three times as long
 * as that attempt ran. So a limit below 1 is one attempt at a time, with pauses, which is what it takes to hold back tasks
 * that never run side by side, since each holds the event loop.
 */
export class PriorityLimits implements Gate {
  readonly #clock: Clock
  readonly #ceiling: number
  readonly #resume: () => void
  readonly #shares: Readonly<Record<Priority, Share>>
  #lifted = false
  #wakeAt = Number.POSITIVE_INFINITY
  #cancelWake: (() => void) | undefined

  /** @param ceiling The limit that is none. @param resume Called when a pause is over or a limit has risen. */
  constructor(clock: Clock, ceiling: number, resume: () => void) {
    this.#clock = clock
    this.#ceiling = ceiling
    this.#resume = resume
    const share = () => new Share(ceiling, clock.now())
    this.#shares = { high: share(), medium: share(), low: share() }
  }

  admits(priority: Priority, now: number): boolean {
    const share = this.#shares[priority]
    if (this.#lifted || share.limit >= this.#ceiling || share.running < Math.floor(share.limit)) return true
    if (share.running < share.limit) {
      const until = share.workedUntil + share.pause
      if (now >= until) return true
      this.#wake(until)
    }
    share.wanting = true
    return false
  }

  started(priority: Priority, now: number): void {
    const share = this.#shares[priority]
    if (share.running >= Math.floor(share.limit) && share.pause > 0) share.worked = 0
    share.reckon(now)
    share.running++
  }

  ended(priority: Priority, ran: number, now: number): void {
    const share = this.#shares[priority]
    share.reckon(now)
    if (share.running === Math.floor(share.limit) + 1) {
      share.worked += ran
      share.workedUntil = now
    }
    share.running--
  }

  /** Slots taken, over all priorities. */
  get running(): number {
    return PRIORITIES.reduce((sum, priority) => sum + this.#shares[priority].running, 0)
  }

  /** Whether something of this priority was not admitted, since the last `take`. */
  wanting(priority: Priority): boolean {
    return this.#shares[priority].wanting
  }

  limitOf(priority: Priority): number {
    return this.#shares[priority].limit
  }

  set(priority: Priority, limit: number): void {
    const share = this.#shares[priority]
    const more = limit > share.limit
    share.limit = Math.min(this.#ceiling, Math.max(LEAST, limit))
    if (more) this.#resume()
  }

  /** What was used since the last call. */
  take(now: number): Record<Priority, Use> {
    const use = (priority: Priority): Use => {
      const share = this.#shares[priority]
      share.reckon(now)
      const { limit, used, usedFrom, wanting, running } = share
      share.used = 0
      share.usedFrom = now
      share.wanting = false
      return { limit, wanting, mean: now > usedFrom ? used / (now - usedFrom) : running }
    }
    return { high: use('high'), medium: use('medium'), low: use('low') }
  }

  /** From now on it holds nothing back. */
  lift(): void {
    this.#lifted = true
    this.#cancelWake?.()
    this.#cancelWake = undefined
    this.#resume()
  }

  #wake(at: number): void {
    if (this.#cancelWake !== undefined && this.#wakeAt <= at) return
    this.#cancelWake?.()
    this.#wakeAt = at
    this.#cancelWake = this.#clock.after(Math.max(1, Math.ceil(at - this.#clock.now())), () => {
      this.#cancelWake = undefined
      this.#resume()
    })
  }
}
