import { PRIORITIES, type Priority } from '../model/words.ts'
import { Heap } from './heap.ts'
import type { Job, Lane, TaskQueue } from './task-queue.ts'

/**
 * Ageing. Priorities are strict for a burst; but once the first task of a lower priority has waited for `after` ms, one
 * start in every so many is given to it. So, however much high work comes in, a medium task waits at most 5 times as long,
 * and a low one at most 17 times as long, as it would alone, plus one second.
 */
export const AGEING = {
  /** ms. */
  after: 1_000,
  /** How many starts of higher priorities may pass the first aged task of this one. */
  passes: { medium: 4, low: 16 },
} as const

/**
 * The tasks that may start, in the order in which they do. For each priority a heap of lanes (one lane a task), by the age
 * of their first job; a lane whose task is paused, or at its concurrency, stands outside. Each operation is O(log t) in the number of
 * tasks and O(1) in the number of jobs.
 */
export class ReadyQueue<J extends Job> {
  readonly #lanes: Readonly<Record<Priority, Heap<Lane<J>>>> = { high: new Heap(), medium: new Heap(), low: new Heap() }
  readonly #passed = { medium: 0, low: 0 }
  #order = 0

  add(job: J): void {
    const lane = job.task.lanes[job.priority]
    // Set for the job's stay in the lane: the order of becoming ready, over all tasks.
    job.rank = this.#order++
    lane.append(job as J & { previous: J | undefined })
    if (lane.first === job && !job.task.full) this.#enter(lane, job.priority)
  }

  remove(job: J): void {
    const lane = job.task.lanes[job.priority]
    const wasFirst = lane.first === job
    lane.remove(job)
    if (wasFirst && lane.place >= 0) this.#settle(lane, job.priority)
  }

  /**
   * Takes out the job that starts next; undefined when none may.
   *
   * @param admits Whether jobs of this priority may start at all; asked only where one would.
   */
  take(now: number, admits: (priority: Priority, now: number) => boolean = always): J | undefined {
    const priority = this.#choose(now, admits)
    if (priority === undefined) return undefined
    const job = this.#lanes[priority].peek()!.first!
    this.remove(job)
    return job
  }

  /** To be called when a task has reached its concurrency, or is paused. */
  block(task: TaskQueue<J>): void {
    for (const priority of PRIORITIES) this.#lanes[priority].remove(task.lanes[priority])
  }

  /** To be called when a task is below its concurrency again, and not paused. */
  unblock(task: TaskQueue<J>): void {
    for (const priority of PRIORITIES) {
      const lane = task.lanes[priority]
      if (lane.first !== undefined && lane.place < 0) this.#enter(lane, priority)
    }
  }

  /** Whether a job of this priority waits for a slot, or for leave. */
  has(priority: Priority): boolean {
    return this.#lanes[priority].size > 0
  }

  #choose(now: number, admits: (priority: Priority, now: number) => boolean): Priority | undefined {
    let chosen: Priority | undefined
    for (const priority of PRIORITIES) {
      const first = this.#lanes[priority].peek()?.first
      if (first === undefined) {
        if (priority !== 'high') this.#passed[priority] = 0
      } else if (!admits(priority, now)) {
        // Held back it has no turn, and is not passed over either.
      } else if (chosen === undefined) {
        chosen = priority
      } else if (priority !== 'high' && now - first.readyAt >= AGEING.after) {
        if (this.#passed[priority] >= AGEING.passes[priority]) chosen = priority
        else this.#passed[priority]++
      }
    }
    if (chosen !== undefined && chosen !== 'high') this.#passed[chosen] = 0
    return chosen
  }

  #enter(lane: Lane<J>, priority: Priority): void {
    lane.rank = lane.first!.rank
    this.#lanes[priority].push(lane)
  }

  #settle(lane: Lane<J>, priority: Priority): void {
    if (lane.first === undefined) {
      this.#lanes[priority].remove(lane)
      return
    }
    lane.rank = lane.first.rank
    this.#lanes[priority].moved(lane)
  }
}

function always(): boolean {
  return true
}
