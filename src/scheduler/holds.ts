import type { Clock } from '../model/clock.ts'
import { type Job, Lane } from './task-queue.ts'

/**
 * The jobs that wait for the end of their response. All may wait equally long, so they expire in the order in which they came,
 * and one timer that is set once per `maxHold` serves all: a request pays for neither a timer nor a heap.
 */
export class Holds<J extends Job> {
  readonly #clock: Clock
  readonly #maxHold: number
  readonly #expired: (job: J) => void
  readonly #jobs = new Lane<J>(0)
  #waiting = false

  /** @param expired Called for a job whose time is over; it is not held any more. */
  constructor(clock: Clock, maxHold: number, expired: (job: J) => void) {
    this.#clock = clock
    this.#maxHold = maxHold
    this.#expired = expired
  }

  add(job: J): void {
    this.#jobs.append(job)
    if (!this.#waiting) this.#wait(job)
  }

  remove(job: J): void {
    this.#jobs.remove(job)
  }

  *jobs(): IterableIterator<J> {
    for (let job = this.#jobs.first; job !== undefined; job = job.next as J | undefined) yield job
  }

  /** The process need not live for it: as long as a response may come, its socket keeps it alive. */
  #wait(oldest: J): void {
    this.#waiting = true
    const due = oldest.deferredAt + this.#maxHold - this.#clock.now()
    this.#clock.after(Math.max(1, Math.ceil(due)), () => this.#sweep(), true)
  }

  #sweep(): void {
    this.#waiting = false
    const now = this.#clock.now()
    for (let job = this.#jobs.first; job !== undefined; job = this.#jobs.first) {
      if (job.deferredAt + this.#maxHold > now) {
        if (!this.#waiting) this.#wait(job)
        return
      }
      this.#jobs.remove(job)
      this.#expired(job)
    }
  }
}
