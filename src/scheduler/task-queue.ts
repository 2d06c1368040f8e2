import type { DeferOptions, TaskPlan } from '../model/options.ts'
import { RetryTokens } from '../model/retry.ts'
import { type Outcome, PRIORITIES, type Priority, type State, type TaskMode } from '../model/words.ts'
import type { Ranked } from './heap.ts'

/** One run of a handler, as long as it holds a slot. */
export interface Run<J> {
  readonly job: J
  /** The attempt has not ended; when it has and the run remains, the run is a zombie. */
  live: boolean
  /** Since when it runs, clock ms. */
  readonly since: number
  /** An engine has given the job to this process: it holds no slot of ours. */
  readonly taken: boolean
  /** What it shares with those that run with it: how many of their attempts have not ended. */
  readonly batch?: { live: number }
}

/**
 * One deferral, as the scheduler sees it. Background derives its own class from this one, with the payload, the handler
 * and the origin; one object for both keeps a queued task small.
 */
export class Job implements Ranked {
  readonly id: string
  readonly seq: number
  readonly task: TaskQueue<this>
  readonly priority: Priority
  readonly key: string | undefined
  /** Intended delay, ms. */
  readonly delay: number
  readonly deferredAt: number
  /** Where it is; undefined before it is accepted and after its outcome. */
  state: State | undefined = undefined
  outcome: Outcome | undefined = undefined
  /** The current or latest attempt, from 1; 0 before the first. */
  attempt = 0
  /** When it last became ready, clock ms. */
  readyAt = 0
  /** When the current or latest attempt started, clock ms. */
  startedAt = 0
  /** Why it did not complete. */
  error: unknown = undefined
  run: Run<this> | undefined = undefined
  /** Of a job that an engine gave: how many attempts have failed before this one, and how many it may have in all. */
  failures = 0
  attempts = 0

  /** Where it gathers with others, while it is ready. */
  batch: Batch<this> | undefined = undefined

  // Its one timer, whose meaning is that of the state: held → maxHold, delayed → delay, ready → maxWait of the batch that it
  // leads, retrying → backoff, running → timeout.
  rank = 0
  place = -1

  // Its neighbours in the lane, while it is ready.
  previous: this | undefined = undefined
  next: this | undefined = undefined

  constructor(id: string, seq: number, task: TaskQueue<never>, options: DeferOptions, now: number) {
    this.id = id
    this.seq = seq
    this.task = task as unknown as TaskQueue<this>
    this.priority = options.priority ?? task.plan.priority
    this.key = options.key
    this.delay = options.delay ?? 0
    this.deferredAt = now
  }

  /** How long the current or latest attempt waited for its start, ms. */
  get wait(): number {
    return Math.max(0, this.startedAt - this.readyAt)
  }
}

/** The ready jobs of one task in one priority, first in, first out. Ranked by its first job, among the lanes of other tasks. */
export class Lane<J extends Job> implements Ranked {
  readonly seq: number
  rank = 0
  place = -1
  first: J | undefined = undefined
  #last: J | undefined = undefined

  constructor(seq: number) {
    this.seq = seq
  }

  append(job: J): void {
    job.previous = this.#last
    job.next = undefined
    if (this.#last === undefined) this.first = job
    else this.#last.next = job
    this.#last = job
  }

  remove(job: J): void {
    if (job.previous === undefined) this.first = job.next
    else job.previous.next = job.next
    if (job.next === undefined) this.#last = job.previous
    else job.next.previous = job.previous
    job.previous = undefined
    job.next = undefined
  }
}

/** Jobs of one task that gather to run together. It stands in the ready queue by its first job. */
export class Batch<J extends Job> {
  /** Which batches of the task may be filled by which jobs. */
  readonly group: string
  /** In the order in which they became ready; never empty. */
  readonly jobs: J[]
  /** It waits for a slot alone, and takes in more jobs only until it gets one. */
  due = false

  constructor(group: string, first: J) {
    this.group = group
    this.jobs = [first]
  }
}

/** The jobs that run together, as long as their handler holds its one slot. */
export class BatchRun<J extends Job> {
  readonly runs: readonly Run<J>[]
  /** What the handler said of single jobs, by their index. */
  readonly failures = new Map<number, unknown>()
  /** How many of its attempts have not ended. */
  live: number

  constructor(jobs: readonly J[], since: number) {
    this.runs = jobs.map((job) => ({ job, live: true, since, taken: false, batch: this }))
    this.live = jobs.length
  }
}

/** What the scheduler keeps for one task. */
export class TaskQueue<J extends Job> {
  readonly name: string
  plan: TaskPlan
  mode: TaskMode = 'running'
  readonly lanes: Readonly<Record<Priority, Lane<J>>>
  /** Slots taken, zombies included. */
  running = 0
  zombies = 0
  readonly keys = new Map<string, J>()
  /** Those that are on their way to an engine, the oldest first. */
  readonly offered = new Set<J>()
  /** Those that have not started, and of these, by group, the one that takes jobs in. */
  readonly batches = new Set<Batch<J>>()
  readonly gathering = new Map<string, Batch<J>>()
  #tokens: RetryTokens | undefined

  constructor(name: string, plan: TaskPlan, seq: number) {
    this.name = name
    this.plan = plan
    this.lanes = { high: new Lane(seq), medium: new Lane(seq), low: new Lane(seq) }
  }

  /** Whether it is paused or at its own concurrency; its lanes then stand outside the ready queue's heaps, and hold nobody up. */
  get full(): boolean {
    return this.mode === 'paused' || this.running >= this.plan.concurrency
  }

  /** The retry budget; undefined where there is none. */
  tokens(now: number): RetryTokens | undefined {
    const budget = this.plan.retry.budget
    if (this.#tokens === undefined && budget !== undefined) this.#tokens = new RetryTokens(budget, now)
    return this.#tokens
  }

  /** A batch has started, or has no jobs left. */
  forget(batch: Batch<J>): void {
    this.batches.delete(batch)
    this.close(batch)
  }

  /** A batch takes no more jobs in. */
  close(batch: Batch<J>): void {
    if (this.gathering.get(batch.group) === batch) this.gathering.delete(batch.group)
  }

  *readyJobs(): IterableIterator<J> {
    for (const priority of PRIORITIES) yield* this.waitingIn(priority)
    yield* this.batched()
  }

  /** Those that are ready and run alone, in the order of their lane. */
  *waitingIn(priority: Priority): IterableIterator<J> {
    for (let job = this.lanes[priority].first; job !== undefined; job = job.next) {
      if (job.batch === undefined) yield job
    }
  }

  *batched(): IterableIterator<J> {
    for (const batch of this.batches) yield* batch.jobs
  }

  /** When its oldest ready job became ready, clock ms; undefined when none is. */
  oldestReadyAt(): number | undefined {
    const [offered] = this.offered
    let oldest = offered?.readyAt
    for (const priority of PRIORITIES) {
      const first = this.lanes[priority].first
      if (first !== undefined && (oldest === undefined || first.readyAt < oldest)) oldest = first.readyAt
    }
    for (const { jobs } of this.batches) {
      if (oldest === undefined || jobs[0]!.readyAt < oldest) oldest = jobs[0]!.readyAt
    }
    return oldest
  }
}
