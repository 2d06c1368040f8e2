import { MAX_MS } from '../model/check.ts'
import type { Clock } from '../model/clock.ts'
import { Heap } from './heap.ts'
import type { Job } from './task-queue.ts'

/** All the times that jobs wait for, on a single timer of the clock. Setting and taking back are O(log n). */
export class Timers<J extends Job> {
  readonly #clock: Clock
  readonly #due: (job: J) => void
  readonly #jobs = new Heap<J>()
  #wakeAt = Number.POSITIVE_INFINITY
  #cancel: (() => void) | undefined

  /** @param due Called for each job whose time has come; its timer is spent. */
  constructor(clock: Clock, due: (job: J) => void) {
    this.#clock = clock
    this.#due = due
  }

  /** @param at Clock ms. */
  set(job: J, at: number): void {
    job.rank = at
    this.#jobs.push(job)
    if (at < this.#wakeAt) this.#arm(at)
  }

  clear(job: J): void {
    this.#jobs.remove(job)
    if (this.#jobs.size === 0) this.#disarm()
  }

  jobs(): IterableIterator<J> {
    return this.#jobs.values()
  }

  #arm(at: number): void {
    this.#cancel?.()
    this.#wakeAt = at
    const wait = Math.min(Math.max(1, Math.ceil(at - this.#clock.now())), MAX_MS)
    this.#cancel = this.#clock.after(wait, () => this.#wake())
  }

  #disarm(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#wakeAt = Number.POSITIVE_INFINITY
  }

  #wake(): void {
    this.#cancel = undefined
    this.#wakeAt = Number.POSITIVE_INFINITY
    const now = this.#clock.now()
    for (let job = this.#jobs.peek(); job !== undefined && job.rank <= now; job = this.#jobs.peek()) {
      this.#jobs.remove(job)
      this.#due(job)
    }
    const next = this.#jobs.peek()
    if (next !== undefined && next.rank < this.#wakeAt) this.#arm(next.rank)
  }
}
