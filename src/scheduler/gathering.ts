import type { ReadyQueue } from './ready-queue.ts'
import { Batch, type Job, type TaskQueue } from './task-queue.ts'
import type { Timers } from './timers.ts'

/**
 * The jobs that gather to run together while they are ready. The first job of a batch has its timer, for `maxWait`, and takes
 * its place in the ready queue when that is over or the batch is full.
 */
export class Gathering<J extends Job> {
  readonly #ready: ReadyQueue<J>
  readonly #timers: Timers<J>
  readonly #due: () => void
  #closing = false

  /** @param due Called when a batch has come into the ready queue. */
  constructor(ready: ReadyQueue<J>, timers: Timers<J>, due: () => void) {
    this.#ready = ready
    this.#timers = timers
    this.#due = due
  }

  add(job: J, group: string): void {
    const task = job.task as TaskQueue<J>
    const key = `${job.priority} ${group}`
    const open = task.gathering.get(key)
    const { maxSize, maxWait } = task.plan.batch!
    const batch = open ?? new Batch(key, job)
    job.batch = batch
    if (open === undefined) {
      task.batches.add(batch)
      task.gathering.set(key, batch)
      // When nothing more is accepted, there is nothing to wait for.
      if (maxWait > 0 && !this.#closing) this.#timers.set(job, job.readyAt + maxWait)
      else this.isDue(batch)
    } else {
      batch.jobs.push(job)
    }
    if (batch.jobs.length < maxSize) return
    task.close(batch)
    this.isDue(batch)
  }

  isDue(batch: Batch<J>): void {
    if (batch.due) return
    batch.due = true
    const first = batch.jobs[0]!
    this.#timers.clear(first)
    this.#ready.add(first)
    this.#due()
  }

  /** A job of a batch that waits was cancelled. The next one leads in its place; of a batch that is due, at the end of its lane. */
  leave(job: J, batch: Batch<J>): void {
    const task = job.task as TaskQueue<J>
    const led = batch.jobs[0] === job
    if (led && batch.due) this.#ready.remove(job)
    else if (led) this.#timers.clear(job)
    batch.jobs.splice(batch.jobs.indexOf(job), 1)
    job.batch = undefined
    const next = batch.jobs[0]
    if (next === undefined) {
      task.forget(batch)
    } else if (led && batch.due) {
      this.#ready.add(next)
    } else if (led) {
      this.#timers.set(next, next.readyAt + task.plan.batch!.maxWait)
    }
  }

  /** From now on what has gathered, and what comes, waits for no more. */
  close(tasks: readonly TaskQueue<J>[]): void {
    this.#closing = true
    for (const task of tasks) for (const batch of task.batches) this.isDue(batch)
  }
}
