import type { Job, Run } from './task-queue.ts'

/** Jobs of one task that gather to run together. It stands in the ready queue by its first job. */
export class Batch<J extends Job> {
  /** Which batches of the task may be filled by which jobs. */
  readonly group: string
  readonly maxSize: number
  /** How long the first job waits for others, ms. */
  readonly maxWait: number
  /** In the order in which they became ready; never empty. */
  readonly jobs: J[]
  /** It waits for a slot alone, and takes in more jobs only until it gets one. */
  due = false

  constructor(group: string, first: J, maxSize: number, maxWait: number) {
    this.group = group
    this.jobs = [first]
    this.maxSize = maxSize
    this.maxWait = maxWait
  }

  get full(): boolean {
    return this.jobs.length >= this.maxSize
  }
}

/** The jobs that run together, as long as their handler holds its one slot. */
export class BatchRun<J extends Job> {
  readonly runs: readonly Run<J>[]
  /** What the handler said of single jobs, by their index. */
  readonly failures = new Map<number, unknown>()
  /** How many of its attempts have not ended. */
  live: number

  constructor(jobs: readonly J[]) {
    this.runs = jobs.map((job) => ({ job, live: true, batch: this }))
    this.live = jobs.length
  }
}
