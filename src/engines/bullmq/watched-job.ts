import { AsyncLocalStorage } from 'node:async_hooks'
import type { Job } from 'bullmq'
import type { TaskContext } from '../../background/deferral.ts'
import type { WatchedJob } from '../../background/taken.ts'
import type { Carrier } from '../../model/engine.ts'
import type { Priority } from '../../model/words.ts'
import { selfHealth } from '../../telemetry/self-health.ts'
import { traceparentOf } from '../../telemetry/traceparent.ts'
import { type AttemptRecord, carrierOf, withRecord } from './metadata.ts'

export interface BullMQJobOptions {
  readonly job: Job
  readonly token: string
  /** What the attempt before has left. */
  readonly record: AttemptRecord | undefined
  /** The state that Redis has it in now; undefined when it is gone. */
  readonly stateOf: (job: Job) => Promise<string | undefined>
  /** Aborts the signal that its processor was given. */
  readonly abort: (reason: string) => void
  /** Tells Afterspan of the attempt; calls the handler before it returns. */
  readonly run: (job: BullMQJob, handler: (payload: undefined, attempt: TaskContext) => unknown) => void
}

/** Codes of BullMQ's `ErrorCode` for a job that is gone, or whose lock is gone or another worker's, or that is not active. */
const GONE = new Set([-1, -2, -3, -6])
/** By what a processor tells BullMQ that it has moved its job itself; the last one is a message, as BullMQ reads it. */
const MOVED = ['DelayedError', 'WaitingError', 'WaitingChildrenError']
const RATE_LIMITED = 'bullmq:rateLimitExceeded'

/** The job that BullMQ is moving, where it asks what is to travel with it. */
const moving = new AsyncLocalStorage<BullMQJob>()

/** The metadata that a job is moved with; undefined where none is moved. @param metadata What BullMQ's telemetry has for it. */
export function metadataOfMove(metadata: string | undefined): string | undefined {
  return moving.getStore()?.metadata(metadata)
}

/**
 * A job that BullMQ's worker runs, as the app has set it up. Nothing is decided here: its own moves tell what has become of it,
 * and when Redis has taken note.
 */
export class BullMQJob implements WatchedJob {
  readonly id: string
  readonly task = undefined
  readonly payload = undefined
  readonly carrier: Carrier | undefined
  readonly priority: Priority | undefined
  readonly attempt: number
  readonly failures: number
  // So that nobody but BullMQ makes a failed attempt again.
  readonly attempts = 1
  readonly previous: string | undefined
  readonly redelivered: boolean
  readonly refusal = undefined
  readonly acceptedAt: number
  readonly wait: number
  readonly relation: 'link' | 'none'
  outcome: 'completed' | 'failed' | undefined
  error: unknown
  readonly #options: BullMQJobOptions
  /** Whether Redis took note of how it ended. */
  readonly #told = Promise.withResolvers<boolean>()
  readonly #listeners: (() => void)[] = []
  #started = false
  #settled = false
  #lost = false
  /** A move was sent, and the connection broke before the answer came. */
  #unanswered = false
  #looking: Promise<void> | undefined
  /** ms until BullMQ runs it again; undefined: it does not. */
  #retryAfter: number | undefined
  #traceparent: string | undefined

  constructor(options: BullMQJobOptions) {
    this.#options = options
    const { job, record } = options
    const { delay = 0, telemetry } = job.opts
    this.id = job.id!
    this.carrier = carrierOf(telemetry?.metadata)
    this.priority = this.carrier?.afterspan?.priority
    this.attempt = job.attemptsStarted
    this.failures = job.attemptsMade
    const last = record?.attempt === job.attemptsStarted - 1 ? record : undefined
    this.previous = last?.traceparent
    this.redelivered = job.attemptsStarted > 1 && job.stalledCounter > (record?.stalled ?? 0)
    // A scheduler's jobs carry the context in which it was made, which their spans would never leave.
    const scheduled = job.repeatJobKey !== undefined
    this.relation = scheduled ? 'none' : 'link'
    this.acceptedAt = job.timestamp + (scheduled ? delay : 0)
    const due = job.attemptsStarted <= 1 ? job.timestamp + delay : last?.due
    // Since when a job might have been run that was lost, moved by its processor or retried by hand, nobody knows.
    const wait = this.redelivered || due === undefined ? 0 : (job.processedOn ?? Date.now()) - due
    // One that comes before its delay is over was promoted; without a delay, clocks differ.
    this.wait = delay > 0 ? Math.max(0, wait) : wait
    this.#listenTo(job)
  }

  /** Runs its processor; whatever goes wrong with what is told of it. */
  process<R>(processor: () => Promise<R>): Promise<R> {
    const result = Promise.withResolvers<R>()
    const run = async () => processor()
    try {
      this.#options.run(this, (_payload, attempt) => {
        this.#started = true
        this.#note(attempt)
        const processed = run().finally(() => {
          this.#settled = true
        })
        processed.then(result.resolve, result.reject)
        return processed.catch((error) => this.#thrown(error, attempt))
      })
    } catch {
      selfHealth.caught('engine')
    }
    return this.#started ? result.promise : run()
  }

  #note(attempt: TaskContext): void {
    try {
      this.#traceparent = traceparentOf(attempt.span.spanContext())
    } catch {
      selfHealth.caught('span')
    }
  }

  /** A job that its processor has moved has not failed. */
  #thrown(error: unknown, { span }: TaskContext): undefined {
    const reason = moveOf(error)
    if (reason === undefined) throw error
    this.#tell(undefined)
    try {
      span.addEvent('returned', { reason })
    } catch {
      selfHealth.caught('span')
    }
    return undefined
  }

  /** What is to travel with it from here: the context of its sender as ever, and this attempt. */
  metadata(foreign: string | undefined): string {
    const { job } = this.#options
    const due = this.#retryAfter === undefined ? undefined : Date.now() + this.#retryAfter
    const record = { attempt: this.attempt, due, stalled: job.stalledCounter, traceparent: this.#traceparent }
    return withRecord(foreign || job.opts.telemetry?.metadata, record)
  }

  onLost(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Its lock could not be renewed. Once its processor has settled, the lock may be gone because BullMQ has moved the job. */
  lose(): void {
    if (this.#lost || this.#settled) return
    this.#lost = true
    for (const listener of this.#listeners) listener()
  }

  complete(): Promise<boolean> {
    return this.#told.promise
  }

  fail(): Promise<boolean> {
    return this.#told.promise
  }

  retry(): Promise<boolean> {
    return this.#told.promise
  }

  /** Afterspan's own grace is over: the job goes back whole, and its processor is told. */
  async release(): Promise<boolean> {
    const { job, token, abort } = this.#options
    if (this.#lost) return false
    try {
      await job.moveToWait(token)
      this.#tell(undefined)
    } catch (error) {
      if (!isGone(error)) throw error
      this.#told.resolve(false)
    } finally {
      abort('afterspan: closed')
    }
    return this.#told.promise
  }

  /** BullMQ does nothing more with it. */
  async abandon(): Promise<void> {
    await (this.#looking ?? (this.#unanswered ? this.#look() : undefined))
    this.#told.resolve(false)
  }

  #tell(outcome: 'completed' | 'failed' | undefined): void {
    this.outcome = outcome
    this.#told.resolve(true)
  }

  #listenTo(job: Job): void {
    const { moveToCompleted, moveToFailed } = job
    const { shouldRetryJob } = job as unknown as Retrying
    replace(job, {
      moveToCompleted: async (...args: Parameters<typeof moveToCompleted>) => {
        const moved = await this.#move(() => moveToCompleted.apply(job, args))
        this.#tell('completed')
        return moved
      },
      moveToFailed: async (...args: Parameters<typeof moveToFailed>) => {
        const [error] = args
        // One that BullMQ does not run at all: it has stalled too often, a child has failed, it was started too often.
        if (!this.#started) this.process(() => Promise.reject(error)).catch(() => {})
        const moved = await this.#move(() => moving.run(this, () => moveToFailed.apply(job, args)))
        this.error = error
        this.#tell(this.#retryAfter === undefined ? 'failed' : undefined)
        return moved
      },
      shouldRetryJob: async (error: unknown) => {
        const [again, delay] = await shouldRetryJob.call(job, error)
        this.#retryAfter = again ? delay : undefined
        return [again, delay]
      },
    })
  }

  async #move<T>(move: () => Promise<T>): Promise<T> {
    try {
      return await move()
    } catch (error) {
      if (!isGone(error)) this.#unanswered = true
      else if (this.#unanswered) this.#looking = this.#look()
      else this.#told.resolve(false)
      throw error
    }
  }

  /** Where an answer was lost, Redis may have moved it nevertheless. */
  async #look(): Promise<void> {
    const state = await this.#options.stateOf(this.#options.job).catch(() => 'active')
    if (state === 'active') this.#told.resolve(false)
    else this.#tell(state === 'failed' || state === 'completed' ? state : undefined)
  }
}

interface Retrying {
  shouldRetryJob(error: unknown): Promise<[again: boolean, delay: number]>
}

/** In place of its methods, and as invisible: a job is often logged. */
function replace(job: Job, methods: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(job, name, { value, configurable: true, enumerable: false, writable: true })
  }
}

/** The name of the error by which a processor says that it has moved its job; undefined for any other error. */
function moveOf(error: unknown): string | undefined {
  const { name, message } = (error ?? {}) as { name?: unknown; message?: unknown }
  if (message === RATE_LIMITED) return 'RateLimitError'
  return MOVED.find((known) => known === name)
}

function isGone(error: unknown): boolean {
  return GONE.has((error as { code?: unknown } | undefined)?.code as number)
}
