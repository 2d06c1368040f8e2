import type { Job } from 'bullmq'
import { describeError } from '../../model/describe-error.ts'
import type { Carrier, Failure, Taken } from '../../model/engine.ts'
import { AfterspanError } from '../../model/errors.ts'
import type { Priority } from '../../model/words.ts'
import { type JobRecord, recordLine } from './job-record.ts'

export interface TakenJobOptions {
  readonly bull: typeof import('bullmq')
  readonly job: Job
  readonly token: string
  /** What the attempt before has left. */
  readonly record: JobRecord | undefined
  /** How often a job may be given to another process because the one before was lost. */
  readonly maxRedeliveries: number
  /** The job as Redis has it now, and its state; undefined when it is gone. */
  readonly look: (id: string) => Promise<JobNow | undefined>
  /** To be called, before BullMQ knows how the attempt ended, where its handler runs on. */
  readonly outlives: () => void
}

interface JobNow {
  readonly attemptsStarted: number
  readonly attemptsMade: number
  readonly state: string
}

/** Redis has given the job to another worker. */
export class NotOurs extends Error {}

/** Codes of BullMQ's `ErrorCode` for a job that is gone, or whose lock is gone or another worker's, or that is not active. */
const GONE = new Set([-1, -2, -3, -6])

/** A job of BullMQ's that this process runs. */
export class TakenJob implements Taken {
  readonly id: string
  readonly task: string
  readonly payload: unknown
  readonly carrier: Carrier | undefined
  readonly priority: Priority | undefined
  readonly attempt: number
  readonly failures: number
  readonly attempts: number
  readonly previous: string | undefined
  readonly redelivered: boolean
  readonly refusal: AfterspanError | undefined
  readonly acceptedAt: number
  readonly wait: number
  /** What the worker's processor does: it returns or throws, by how the attempt ended. */
  readonly verdict: Promise<undefined>
  /** When its lock was last known to be ours, by `performance.now()`. */
  renewedAt = performance.now()
  /** ms until the next attempt. */
  backoff = 0
  readonly #options: TakenJobOptions
  readonly #verdict = Promise.withResolvers<undefined>()
  /** Whether Redis took note of it. */
  readonly #acknowledged = Promise.withResolvers<boolean>()
  readonly #listeners: (() => void)[] = []
  #lost = false
  /** By BullMQ, which has then told how the attempt ended. */
  #moved = false
  /** What BullMQ is to do with it. */
  #outcome: 'completed' | 'failed' | 'retried' = 'completed'

  constructor(options: TakenJobOptions) {
    this.#options = options
    const { job, record } = options
    this.id = job.id!
    this.task = job.name
    this.payload = job.data
    this.carrier = carrierOf(job)
    this.priority = this.carrier?.afterspan?.priority
    this.attempt = job.attemptsStarted
    this.failures = job.attemptsMade
    this.attempts = job.opts.attempts ?? 1
    this.previous = record?.traceparent
    this.redelivered = job.stalledCounter > (record?.stalled ?? 0)
    this.refusal = job.stalledCounter > options.maxRedeliveries ? lostTooOften(job) : undefined
    this.acceptedAt = job.timestamp
    const due = record?.due ?? job.timestamp + (job.opts.delay ?? 0)
    // Since when a lost process's task might have been run again, nobody knows.
    this.wait = this.redelivered ? 0 : (job.processedOn ?? Date.now()) - due
    this.verdict = this.#verdict.promise
    this.verdict.catch(() => {})
    this.#listenToWorker(job)
  }

  get acknowledged(): Promise<boolean> {
    return this.#acknowledged.promise
  }

  renewed(at: number): void {
    this.renewedAt = at
  }

  onLost(listener: () => void): void {
    this.#listeners.push(listener)
    if (this.#lost) listener()
  }

  lose(): void {
    if (this.#lost) return
    this.#lost = true
    for (const listener of this.#listeners) listener()
  }

  complete(): Promise<boolean> {
    this.#verdict.resolve(undefined)
    return this.acknowledged
  }

  async fail({ error, traceparent, outlives }: Failure): Promise<boolean> {
    await this.#leaveRecord('failed', error, traceparent, 0)
    if (outlives) this.#options.outlives()
    const { message, stack } = describeError(error)
    this.#outcome = 'failed'
    const final = new this.#options.bull.UnrecoverableError(message)
    if (stack !== undefined) final.stack = stack
    this.#verdict.reject(final)
    return this.acknowledged
  }

  async retry(delay: number, { error, traceparent, outlives }: Failure): Promise<boolean> {
    await this.#leaveRecord('failed', error, traceparent, delay)
    if (outlives) this.#options.outlives()
    const { type, message, stack } = describeError(error)
    const again = Object.assign(new Error(message), { name: type })
    if (stack !== undefined) again.stack = stack
    this.#outcome = 'retried'
    // BullMQ asks the strategy of its worker only for a type that it does not know.
    this.backoff = Math.round(delay)
    this.#options.job.opts.backoff = { type: 'afterspan' }
    this.#verdict.reject(again)
    return this.acknowledged
  }

  async release(outlives: boolean): Promise<boolean> {
    const { job, token, bull } = this.#options
    if (outlives) this.#options.outlives()
    await this.#leaveRecord('given back', undefined, undefined, 0)
    try {
      await job.moveToWait(token)
      this.#acknowledged.resolve(true)
    } catch (error) {
      if (!isGone(error)) throw error
      this.#acknowledged.resolve(false)
    } finally {
      this.#verdict.reject(new bull.WaitingError())
    }
    return this.acknowledged
  }

  /** Nobody will say how it ended: its lock runs out. */
  abandon(): void {
    if (this.#moved) return
    this.#acknowledged.resolve(false)
    this.#verdict.reject(new this.#options.bull.WaitingError())
  }

  /** BullMQ's worker moves the job by these methods of it, and goes on trying while Redis is away. */
  #listenToWorker(job: Job): void {
    const { moveToCompleted, moveToFailed } = job
    const watch = async <T>(move: () => Promise<T>): Promise<T> => {
      try {
        const moved = await move()
        this.#moved = true
        this.#acknowledged.resolve(true)
        return moved
      } catch (error) {
        if (!isGone(error)) throw error
        // Where the connection broke before Redis could answer, the client asked again, and it was moved at the first time.
        this.#acknowledged.resolve(await this.#wasMoved().catch(() => false))
        throw new NotOurs((error as Error).message)
      }
    }
    job.moveToCompleted = (...args) => watch(() => moveToCompleted.apply(job, args))
    job.moveToFailed = (...args) => {
      // After a job that is gone could not be completed, the worker would have it fail.
      if (args[0] instanceof NotOurs) return Promise.reject(args[0])
      return watch(() => moveToFailed.apply(job, args))
    }
  }

  /** Whether the job is where this attempt wanted it, and nobody has taken it since. */
  async #wasMoved(): Promise<boolean> {
    const job = await this.#options.look(this.id)
    // Those that are not kept are gone at once.
    if (job === undefined) return this.#outcome === 'completed'
    if (job.attemptsStarted !== this.attempt) return false
    return this.#outcome === 'retried' ? job.attemptsMade === this.failures + 1 : job.state === this.#outcome
  }

  /** For the next attempt, and to be read; without it the next attempt is not linked to this one, which is worth no failure. */
  async #leaveRecord(
    what: JobRecord['what'],
    error: unknown,
    traceparent: string | undefined,
    delay: number,
  ): Promise<void> {
    const { job } = this.#options
    const { type, message } = describeError(error)
    const text = error === undefined ? '' : `${type}: ${message.slice(0, 200)}`
    const due = Date.now() + delay
    const line = recordLine({ attempt: this.attempt, what, error: text, traceparent, due, stalled: job.stalledCounter })
    await job.log(line).catch(() => {})
  }
}

function isGone(error: unknown): boolean {
  return GONE.has((error as { code?: unknown }).code as number)
}

function lostTooOften(job: Job): AfterspanError {
  return new AfterspanError(
    'ERR_AFTERSPAN_REDELIVERED',
    `Job ${job.id} is not run again: the processes that ran it were lost ${job.stalledCounter} times.`,
  )
}

function carrierOf(job: Job): Carrier | undefined {
  const text = job.opts.telemetry?.metadata
  if (typeof text !== 'string') return undefined
  try {
    const carrier: unknown = JSON.parse(text)
    return typeof carrier === 'object' && carrier !== null ? carrier : undefined
  } catch {
    return undefined
  }
}
