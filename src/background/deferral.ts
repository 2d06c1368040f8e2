import { AsyncResource } from 'node:async_hooks'
import { type Context, context, type Span, type SpanContext, TraceFlags, trace } from '@opentelemetry/api'
import type { Taken } from '../model/engine.ts'
import { AfterspanError } from '../model/errors.ts'
import type { DeferOptions, ProfileOptions } from '../model/options.ts'
import type { Origin } from '../model/origin.ts'
import type { ProfiledJob } from '../model/profiler.ts'
import type { Outcome, Priority, Relation, State } from '../model/words.ts'

import { Job, type TaskQueue } from '../scheduler/task-queue.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import type { MessagingQueue } from '../telemetry/spans.ts'
import type { TaskTrace, TelemetryJob } from '../telemetry/telemetry.ts'
import type { Scope } from './scope.ts'

/** What a handler gets beside its payload. */
export interface TaskContext {
  /** Of the deferral, the same in all its attempts. */
  readonly id: string
  /** From 1. */
  readonly attempt: number
  /** Aborts at the attempt's timeout, and when the task is cancelled; its `reason` says which. */
  readonly signal: AbortSignal
  /** The attempt's own span; it is also the active one. */
  readonly span: Span
  /** The request that asked for it; undefined outside a request. */
  readonly origin: Origin | undefined
}

/** What the handler of a batch gets beside its payloads. */
export interface BatchContext {
  /** One for each payload, in the same order. */
  readonly items: readonly BatchItem[]
  /** Aborts at the run's timeout, and when all of its items are cancelled. */
  readonly signal: AbortSignal
  /** The run's own span; it is also the active one. */
  readonly span: Span
  /**
   * Says that one item has failed; the others are not touched by it. It is tried again, alone or with others, if it has
   * attempts left. Without effect after the run has ended.
   *
   * @param index Of the payload, from 0.
   * @throws AfterspanError ERR_AFTERSPAN_BATCH_ITEM where there is no such item.
   */
  fail(index: number, error: unknown): void
}

export interface BatchItem {
  readonly id: string
  /** From 1. */
  readonly attempt: number
  /** The request that asked for it; undefined outside a request. */
  readonly origin: Origin | undefined
}

export type BatchHandler<P> = (payloads: P[], context: BatchContext) => unknown

/** The handler of a batch task, and the asynchronous context in which it was defined: it runs in that of no request. */
export interface BatchWork {
  readonly handler: BatchHandler<never>
  readonly resource: AsyncResource
}

export type Handler<P> = (payload: P, context: TaskContext) => unknown

/** A deferral to hold on to. */
export interface TaskHandle {
  readonly id: string
  /** The task's name. */
  readonly task: string
  /** Where it is, or how it has ended. */
  readonly state: State | Outcome
  /** Resolves when it is accepted to run, by its engine if it has one; rejects with an AfterspanError when it is not. */
  readonly accepted: Promise<void>
  /** Resolves to how it ended; never rejects. */
  readonly outcome: Promise<Outcome>
  /** Why it did not complete, or why its last attempt failed; undefined otherwise. */
  readonly error: unknown
  /**
   * Ends it as cancelled, whatever its state; false when it has ended already. On an engine: as long as it is not accepted;
   * from then on `task.cancel(handle.id)` takes it out of the queue.
   */
  cancel(reason?: unknown): boolean
}

/** What a deferral is made of, beside its options. */
export interface Work {
  readonly payload: unknown
  readonly handler: Handler<never>
  /** Set where it runs together with others. */
  readonly batch: BatchWork | undefined
  /** It runs already. */
  readonly adopted: boolean
  readonly cancel: (job: Deferral, reason: unknown) => boolean
  readonly engine?: EngineSide
}

/** What `accepted` of a handle is made of. */
export interface Acceptance {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** What a deferral has to do with an engine. */
export interface EngineSide {
  readonly queue: MessagingQueue
  /** Where the engine gave it to this process. */
  readonly taken: Taken | undefined
  /** Where this process gives it to the engine: settled when the engine has it, or will not. */
  readonly acceptance: Acceptance | undefined
  /** The engine has given it to somebody else meanwhile. */
  lost: boolean
  /** Its handler has settled. */
  handled?: boolean
  /** To be called when the engine knows how the attempt has ended. */
  told?: () => void
}

/** One deferral: what the scheduler, the telemetry and the figures each see of it is an interface of this. */
export class Deferral extends Job implements TelemetryJob, ProfiledJob {
  payload: unknown
  readonly handler: Handler<never>
  readonly batchWork: BatchWork | undefined
  readonly relation: Relation
  readonly origin: Origin | undefined
  readonly parent: SpanContext | undefined
  /** OpenTelemetry's context at the deferral. */
  readonly context: Context
  readonly trace: TaskTrace
  /** undefined where it runs in this process. */
  readonly engine: EngineSide | undefined
  /** The asynchronous context at the deferral, so that the handler sees the app's own AsyncLocalStorages of that request. */
  resource: AsyncResource | undefined
  readonly #cancel: Work['cancel']
  #handle: TaskHandle | undefined
  /** What the handler of the running, or latest, attempt was given; undefined before it, and for work that ran already. */
  current: { abort(reason: Error): void } | undefined = undefined
  #resolve: ((outcome: Outcome) => void) | undefined
  #outcome: Promise<Outcome> | undefined
  #unlisten: (() => void) | undefined

  constructor(
    id: string,
    seq: number,
    task: TaskQueue<never>,
    options: DeferOptions,
    now: number,
    work: Work,
    scope: Scope | undefined,
    taskTrace: TaskTrace,
    inContext = context.active(),
  ) {
    super(id, seq, task, options, now)
    this.#cancel = work.cancel
    this.payload = work.payload
    this.handler = work.handler
    this.batchWork = work.batch
    this.engine = work.engine
    this.relation =
      options.relation ?? task.plan.relation ?? (this.delay > 0 || this.engine !== undefined ? 'link' : 'child')
    this.origin = scope?.origin
    this.context = inContext
    this.parent = scope === undefined ? trace.getSpan(this.context)?.spanContext() : scope.spanContext
    this.trace = taskTrace
    this.resource = work.adopted || work.batch !== undefined ? undefined : new AsyncResource('AfterspanTask')
  }

  /** The same each time. Not made with it: a job must not keep alive, for as long as it is queued, what the app did not keep. */
  get handle(): TaskHandle {
    this.#handle ??= new Handle(this, this.#cancel)
    return this.#handle
  }

  /** The name under which it is counted. */
  get label(): string {
    return this.trace.name
  }

  get usualPriority(): Priority {
    return this.task.plan.priority
  }

  get profile(): Required<ProfileOptions> | undefined {
    return this.task.plan.profile
  }

  get queue(): MessagingQueue | undefined {
    return this.engine?.queue
  }

  /** Of the latest attempt that has ended; undefined where that was not sampled. */
  get traceId(): string | undefined {
    const { previous } = this.trace
    return previous === undefined || (previous.traceFlags & TraceFlags.SAMPLED) === 0 ? undefined : previous.traceId
  }

  get redelivered(): boolean {
    return this.engine?.taken?.redelivered === true
  }

  get skew(): number {
    return Math.max(0, -(this.engine?.taken?.wait ?? 0))
  }

  note(attributes: Readonly<Record<string, string | number | boolean>>): void {
    try {
      this.trace.attempt?.setAttributes(attributes)
    } catch {
      selfHealth.caught('span')
    }
  }

  get outcomePromise(): Promise<Outcome> {
    if (this.#outcome === undefined) {
      this.#outcome =
        this.outcome === undefined
          ? new Promise((resolve) => {
              this.#resolve = resolve
            })
          : Promise.resolve(this.outcome)
    }
    return this.#outcome
  }

  /** Cancels when the signal aborts; the listener goes when the deferral has ended. */
  listenTo(signal: AbortSignal, cancel: (reason: unknown) => void): void {
    const aborted = () => cancel(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    this.#unlisten = () => signal.removeEventListener('abort', aborted)
  }

  /** Lets go of what only a run needs: an app may keep handles for long. */
  letGo(): void {
    this.payload = undefined
    this.resource = undefined
    this.current = undefined
    this.#unlisten?.()
    this.#unlisten = undefined
  }

  /** Tells those who wait for the outcome. */
  settle(outcome: Outcome): void {
    this.letGo()
    if (outcome !== 'handed_off') this.engine?.acceptance?.reject(this.error)
    this.#resolve?.(outcome)
  }
}

/** What the handlers of one job and of many are given alike. */
class RunContext {
  readonly #span: Span | undefined
  #controller: AbortController | undefined
  #reason: Error | undefined

  constructor(job: Deferral) {
    this.#span = job.trace.attempt
  }

  /** Made when it is first asked for: most handlers need none. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  get span(): Span {
    return this.#span ?? NO_SPAN
  }

  abort(reason: Error): void {
    this.#reason = reason
    this.#controller?.abort(reason)
  }
}

/** The context of one attempt; its signal is its own, also when a later attempt runs beside it. */
export class AttemptContext extends RunContext implements TaskContext {
  readonly id: string
  readonly attempt: number
  readonly origin: Origin | undefined

  constructor(job: Deferral) {
    super(job)
    this.id = job.id
    this.attempt = job.attempt
    this.origin = job.origin
  }
}

/** The context of attempts that run together. */
export class BatchRunContext extends RunContext implements BatchContext {
  readonly items: readonly BatchItem[]
  readonly fail: (index: number, error: unknown) => void

  constructor(jobs: readonly Deferral[], fail: (index: number, error: unknown) => void) {
    super(jobs[0]!)
    this.items = jobs.map(({ id, attempt, origin }) => ({ id, attempt, origin }))
    // Bound, so that it can be handed on.
    this.fail = (index, error) => {
      if (Number.isInteger(index) && index >= 0 && index < jobs.length) fail(index, error)
      else {
        throw new AfterspanError(
          'ERR_AFTERSPAN_BATCH_ITEM',
          `context.fail takes the index of an item, 0 to ${jobs.length - 1}, got ${String(index)}.`,
        )
      }
    }
  }
}

/** Stands in where the tracing set-up threw. */
const NO_SPAN = trace.wrapSpanContext({ traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: 0 })

/** What `defer` returns: no more of a deferral than its user should see. */
export class Handle implements TaskHandle {
  readonly #job: Deferral
  readonly #cancel: (job: Deferral, reason: unknown) => boolean

  constructor(job: Deferral, cancel: (job: Deferral, reason: unknown) => boolean) {
    this.#job = job
    this.#cancel = cancel
  }

  get id(): string {
    return this.#job.id
  }

  get task(): string {
    return this.#job.task.name
  }

  get state(): State | Outcome {
    return this.#job.outcome ?? this.#job.state ?? 'dropped'
  }

  get accepted(): Promise<void> {
    const { engine } = this.#job
    if (engine !== undefined) return engine.acceptance!.promise
    if (this.#job.outcome !== 'dropped') return Promise.resolve()
    const rejected = Promise.reject(this.#job.error)
    // Nobody has to look.
    rejected.catch(() => {})
    return rejected
  }

  get outcome(): Promise<Outcome> {
    return this.#job.outcomePromise
  }

  get error(): unknown {
    return this.#job.error
  }

  cancel(reason?: unknown): boolean {
    return this.#cancel(this.#job, reason)
  }
}
