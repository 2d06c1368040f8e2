import type { Clock } from '../model/clock.ts'

/** How long starts may hold the event loop in one of its turns, ms, before I/O gets its share. */
export const SLICE = 2

/**
 * Bounds the time, not the number, of starts per turn of the event loop: a burst of any size leaves room for requests, and
 * a hundred thousand trivial tasks are not throttled to a handful per turn.
 */
export class Turn {
  readonly #clock: Clock
  readonly #resume: () => void
  #open = false
  #endsAt = 0
  #waiting = false

  /** @param resume Called in the next turn, after `allows` has said no. */
  constructor(clock: Clock, resume: () => void) {
    this.#clock = clock
    this.#resume = resume
  }

  /** Whether there is time left in this turn; if not, `resume` will be called in the next. */
  allows(now: number): boolean {
    if (!this.#open) {
      this.#open = true
      this.#endsAt = now + SLICE
      this.#clock.nextTurn(() => this.#next())
      return true
    }
    if (now < this.#endsAt) return true
    this.#waiting = true
    return false
  }

  #next(): void {
    this.#open = false
    if (!this.#waiting) return
    this.#waiting = false
    this.#resume()
  }
}
