import type { ProfiledJob } from '../model/profiler.ts'
import type { Stack } from './stacks.ts'

/** Who gets what the samples of an attempt say. */
export interface AttemptOwner {
  /** So many seconds of CPU by the latest samples. */
  used(label: string, seconds: number): void
}

/** One attempt, as its samples know it: it is their label. */
export class Attempt {
  readonly owner: AttemptOwner
  readonly label: string
  readonly id: string
  /** From 1. */
  readonly attempt: number
  /** `performance.now()` of its start. */
  readonly since: number
  /** undefined when it has ended for so long that no stall can be its own any more: a job holds much more than this does. */
  job: ProfiledJob | undefined
  /** It has ended, and its handler has settled. */
  over = false

  constructor(owner: AttemptOwner, job: ProfiledJob, since: number) {
    this.owner = owner
    this.label = job.label
    this.id = job.id
    this.attempt = job.attempt
    this.since = since
    this.job = job
  }
}

/** What an attempt did at one moment, and for how long that stands. */
export interface Sample {
  readonly attempt: Attempt
  readonly stack: Stack
  /** `performance.now()`, ms. */
  readonly at: number
  /** For how much of the thread's time it stands, ms: half of it before `at`. */
  readonly wall: number
  /** For how much CPU it stands, ms. */
  readonly cpu: number
}
