import { AsyncResource } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import { context, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import type { Clock } from '../model/clock.ts'
import type { Consumer, Depth, Engine, EngineQueue, Taken } from '../model/engine.ts'
import { AfterspanError } from '../model/errors.ts'
import type { DeferOptions, Logger, TaskPlan } from '../model/options.ts'
import { PRIORITIES } from '../model/words.ts'
import type { Scheduler, Verdict } from '../scheduler/scheduler.ts'
import type { TaskQueue } from '../scheduler/task-queue.ts'
import type { EngineReading } from '../telemetry/metric-registry.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import type { MessagingQueue } from '../telemetry/spans.ts'
import type { TaskTrace, Telemetry } from '../telemetry/telemetry.ts'
import { parseTraceparent, traceparentOf } from '../telemetry/traceparent.ts'
import { Deferral, type EngineSide, type Handler } from './deferral.ts'
import { EngineSender } from './engine-sender.ts'
import { write } from './failure-log.ts'
import type { Observers } from './observers.ts'
import { checkPayload, readPayload } from './payload.ts'
import type { Scope } from './scope.ts'

/** A task that an engine runs, in this process. */
interface EngineTask {
  readonly name: string
  readonly task: TaskQueue<Deferral>
  readonly plan: TaskPlan
  readonly queue: EngineQueue
  readonly messaging: MessagingQueue
  readonly sender: EngineSender
  readonly handler: Handler<never>
  /** The asynchronous context in which it was defined: it runs in that of no request, and of no connection. */
  readonly resource: AsyncResource
  consumer: Consumer | undefined
  /** Of its consumer; 0 without one. */
  concurrency: number
  depth: { readonly read: Depth; readonly at: number } | undefined
  /** When it was first asked what it holds, clock ms. */
  askedAt: number | undefined
}

/** How often an engine is asked what it holds, and for how long its answer is shown, ms. */
const ASK_EVERY = 10_000
const ANSWER_HOLDS = 35_000
/** How long it may take to answer for the first time, ms. */
const FIRST_ANSWER = 5_000
/** How long an engine may take to be told, when the process ends, how attempts ended, ms. */
const LAST_WORDS = 5_000
/** At most one line per task in this time, ms. */
const QUIET = 60_000

export interface EngineTasksOptions {
  readonly clock: Clock
  readonly scheduler: () => Scheduler<Deferral>
  readonly telemetry: Telemetry
  readonly observers: Observers
  readonly logger: Logger
  /** The next number in the order of deferrals. */
  readonly next: () => number
}

/**
 * The tasks that run on engines. A deferral is sent at once and is the engine's from then on; a process that calls `work()`
 * takes tasks out and runs them by the same scheduler, timeouts and telemetry as any other.
 */
export class EngineTasks {
  readonly #options: EngineTasksOptions
  readonly #tasks = new Map<string, EngineTask>()
  readonly #engines = new Set<Engine>()
  /** What was taken and is not settled. */
  readonly #runs = new Set<Promise<void>>()
  readonly #lines = new Map<string, number>()
  #stopAsking: (() => void) | undefined
  #working = false
  #stopped = false

  constructor(options: EngineTasksOptions) {
    this.#options = options
  }

  define(name: string, task: TaskQueue<Deferral>, plan: TaskPlan, engine: Engine, handler: Handler<never>): void {
    const queue = engine.define(name, plan)
    this.#engines.add(engine)
    const { clock, scheduler, observers } = this.#options
    this.#tasks.set(name, {
      name,
      task,
      plan,
      queue,
      messaging: { system: engine.system, name: queue.name },
      sender: new EngineSender({ clock, scheduler, observers, queue, ...engine.sending }),
      handler,
      resource: new AsyncResource('AfterspanEngineTask'),
      consumer: undefined,
      concurrency: 0,
      depth: undefined,
      askedAt: undefined,
    })
    this.#options.telemetry.defineEngine(name)
    this.#stopAsking ??= clock.after(1_000, () => this.#ask(), true)
  }

  has(name: string): boolean {
    return this.#tasks.has(name)
  }

  get consuming(): boolean {
    return this.#working
  }

  /** Sends a new deferral to its engine. */
  defer(
    name: string,
    payload: unknown,
    options: DeferOptions,
    scope: Scope | undefined,
    refusal: AfterspanError | undefined,
  ): Deferral {
    const task = this.#tasks.get(name)!
    const checked = checkPayload(name, task.plan.schema, payload)
    const { clock, scheduler, telemetry, next } = this.#options
    const side: EngineSide = {
      queue: task.messaging,
      taken: undefined,
      acceptance: Promise.withResolvers(),
      lost: false,
    }
    // Nobody has to look.
    side.acceptance!.promise.catch(() => {})
    const work = {
      payload: undefined,
      handler: task.handler,
      batch: undefined,
      adopted: true,
      cancel: (job: Deferral, reason: unknown) => task.sender.cancel(job, reason),
      engine: side,
    }
    const job = new Deferral(
      randomUUID(),
      next(),
      task.task as unknown as TaskQueue<never>,
      options,
      clock.now(),
      work,
      scope,
      telemetry.trace(name),
    )
    if (!scheduler().offer(job, refusal)) return job
    const { id, priority, delay, key } = job
    const message = { id, payload, priority, delay, key, carrier: telemetry.carrier(job) }
    task.sender.send(job, message, checked)
    return job
  }

  /** Takes a task out of its queue that waits there. */
  async cancel(name: string, id: string): Promise<boolean> {
    const task = this.#tasks.get(name)!
    if (!(await task.queue.cancel(id))) return false
    const job = this.#newTaken(task, id, undefined)
    this.#options.scheduler().takeOut(job, 'taken out of its queue')
    return true
  }

  /** Begins to consume. */
  async work(concurrency: number, names: readonly string[] | undefined): Promise<void> {
    const unknown = names?.find((name) => !this.#tasks.has(name))
    if (this.#tasks.size === 0 || this.#working || unknown !== undefined) {
      throw new AfterspanError(
        'ERR_AFTERSPAN_WORK',
        this.#working
          ? 'tasks.work() was called before. Call it once, after all tasks are defined.'
          : unknown === undefined
            ? 'tasks.work() found no task with an engine. Define them before: tasks.define(name, handler, { engine }).'
            : `tasks.work() was asked for a task "${unknown}", which is not defined with an engine.`,
      )
    }
    this.#working = true
    const wanted = [...this.#tasks.values()].filter(({ name }) => names === undefined || names.includes(name))
    const started = await Promise.allSettled(wanted.map((task) => this.#consume(task, concurrency)))
    const failed = started.find((result) => result.status === 'rejected')
    if (failed === undefined) return
    await this.stop()
    throw failed.reason
  }

  async #consume(task: EngineTask, concurrency: number): Promise<void> {
    task.concurrency = Math.min(concurrency, task.plan.concurrency)
    const consumer = await task.queue.consume({
      concurrency: task.concurrency,
      run: (taken) => this.run(task.name, taken),
      onError: (error) => this.#wrong(task, error),
    })
    task.consumer = consumer
    if (this.#stopped) await consumer.stop()
  }

  /** Runs what an engine gave; resolves when its handler has settled and the engine knows. */
  run(name: string, taken: Taken): Promise<void> {
    const run = this.#run(this.#tasks.get(name)!, taken).catch(() => selfHealth.caught('engine'))
    this.#runs.add(run)
    run.finally(() => this.#runs.delete(run))
    return run
  }

  async #run(task: EngineTask, taken: Taken): Promise<void> {
    const handled = Promise.withResolvers<void>()
    const told = Promise.withResolvers<void>()
    const job: Deferral = this.#newTaken(task, taken.id, taken, () => {
      job.engine!.handled = true
      handled.resolve()
    })
    job.engine!.told = told.resolve
    job.failures = taken.failures
    job.attempts = taken.attempts
    taken.onLost(() => this.#lost(job))
    this.#options.scheduler().take(job, taken.attempt, Math.max(0, taken.wait))
    await told.promise
    await handled.promise
  }

  /** Tells the engine how an attempt has ended, and the scheduler that it knows. */
  async acknowledge(job: Deferral, verdict: Verdict): Promise<void> {
    const taken = job.engine!.taken!
    const outcome = verdict.outcome === 'returned' ? undefined : verdict.outcome
    try {
      const known = await tell(job, taken, verdict)
      if (!known) this.#lost(job)
      this.#options.scheduler().settleTaken(job, known ? outcome : undefined)
    } catch (error) {
      // Its lock will run out, and somebody will run it again.
      const task = this.#tasks.get(job.task.name)
      if (task !== undefined) this.#wrong(task, error)
      this.#options.scheduler().settleTaken(job, undefined)
    }
    job.engine!.told?.()
  }

  #lost(job: Deferral): void {
    const side = job.engine!
    if (side.lost) return
    side.lost = true
    this.#options.scheduler().lose(job)
  }

  /** Takes no more. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.allSettled([...this.#tasks.values()].map(({ consumer }) => consumer?.stop()))
    for (const task of this.#tasks.values()) task.concurrency = 0
  }

  /** Waits until the engines know how everything ended that was taken, as long as that makes sense, and lets go of them. */
  async close(): Promise<void> {
    this.#stopAsking?.()
    this.#stopped = true
    if (this.#tasks.size === 0) return
    const { clock } = this.#options
    let cancelTimer: (() => void) | undefined
    const timeIsUp = new Promise<void>((resolve) => {
      cancelTimer = clock.after(LAST_WORDS, resolve)
    })
    const letGo = async () => {
      await Promise.allSettled(this.#runs)
      await Promise.allSettled([...this.#tasks.values()].map(({ consumer }) => consumer?.close()))
      await Promise.allSettled([...this.#engines].map((engine) => engine.close()))
    }
    await Promise.race([letGo(), timeIsUp])
    cancelTimer?.()
  }

  /** What the engines hold, as far as they have said so of late. */
  *readings(): Iterable<
    readonly [string, EngineReading & { readonly queue: MessagingQueue; readonly young: boolean }]
  > {
    const now = this.#options.clock.now()
    for (const { name, concurrency, depth, messaging, askedAt } of this.#tasks.values()) {
      const up = depth !== undefined && now - depth.at <= ANSWER_HOLDS
      const young = depth === undefined && now - (askedAt ?? now) < FIRST_ANSWER
      yield [name, { concurrency, up, young, depth: up ? depth.read : undefined, queue: messaging }]
    }
  }

  async #ask(): Promise<void> {
    const { clock } = this.#options
    for (const task of this.#tasks.values()) {
      task.askedAt ??= clock.now()
      // A reading that hangs must not keep the others from being asked, so nothing waits for it.
      task.queue.depth().then(
        (read) => {
          task.depth = { read, at: clock.now() }
        },
        (error) => this.#wrong(task, error),
      )
    }
    this.#stopAsking = clock.after(ASK_EVERY, () => this.#ask(), true)
  }

  #wrong(task: EngineTask, error: unknown): void {
    selfHealth.caught('engine')
    const { clock, logger } = this.#options
    const now = clock.now()
    if (this.#stopped || now - (this.#lines.get(task.name) ?? Number.NEGATIVE_INFINITY) < QUIET) return
    this.#lines.set(task.name, now)
    const message = error instanceof Error && error.message !== '' ? error.message : String(error)
    write(logger, 'warn', `afterspan: ${task.messaging.system} queue "${task.messaging.name}": ${message}`)
  }

  #newTaken(task: EngineTask, id: string, taken: Taken | undefined, handled?: () => void): Deferral {
    const { clock, telemetry, next } = this.#options
    const now = clock.now()
    const carrier = taken?.carrier ?? {}
    const sent = propagation.extract(ROOT_CONTEXT, carrier)
    // Without a propagator there is no baggage, and the trace goes on nevertheless.
    const parent = trace.getSpanContext(sent) ?? parseTraceparent(carrier.traceparent)
    const { method, route } = textOf(carrier.afterspan)
    const origin =
      method === undefined && route === undefined && parent === undefined
        ? undefined
        : { spanContext: parent, method, route, endedAt: undefined }
    const scope: Scope = { origin, spanContext: parent, since: now, response: undefined }
    const priority = PRIORITIES.find((word) => word === (taken?.priority ?? carrier.afterspan?.priority))
    const options: DeferOptions = { relation: 'link', ...(priority !== undefined && { priority }) }
    const work = {
      payload: taken?.payload,
      handler: taken === undefined ? task.handler : handlerFor(task, taken, handled!),
      batch: undefined,
      adopted: true,
      cancel: () => false,
      engine: { queue: task.messaging, taken, acceptance: undefined, lost: false },
    }
    const accepted = now - Math.max(0, Date.now() - (taken?.acceptedAt ?? Date.now()))
    const traced: TaskTrace = telemetry.trace(task.name)
    traced.previous = parseTraceparent(taken?.previous)
    const make = () =>
      new Deferral(id, next(), task.task as unknown as TaskQueue<never>, options, accepted, work, scope, traced)
    const job = context.with(trace.deleteSpan(sent), make)
    job.resource = task.resource
    return job
  }
}

function tell(job: Deferral, taken: Taken, verdict: Verdict): Promise<boolean> {
  if (verdict.outcome === 'completed') return taken.complete()
  const outlives = job.engine?.handled !== true
  const failure = { error: verdict.error, traceparent: traceparentOf(job.trace.previous), outlives }
  if (verdict.outcome === 'failed') return taken.fail(failure)
  return verdict.failed ? taken.retry(verdict.delay, failure) : taken.release(outlives)
}

/** What runs a task that was taken: its handler, once it is known to be meant and its payload to be right. */
function handlerFor({ name, plan, handler }: EngineTask, taken: Taken, handled: () => void): Handler<never> {
  const run: Handler<unknown> = async (payload, attempt) => {
    try {
      if (taken.refusal !== undefined) throw taken.refusal
      if (taken.task !== undefined && taken.task !== name) {
        throw new AfterspanError(
          'ERR_AFTERSPAN_UNKNOWN_TASK',
          `The queue of task "${name}" has a job for "${taken.task}", which this process does not know. It is kept as failed.`,
        )
      }
      return await (handler as Handler<unknown>)(await readPayload(name, plan.schema, payload), attempt)
    } finally {
      handled()
    }
  }
  return run as Handler<never>
}

/** Strings of what came over the wire, which may be anything. */
function textOf(origin: { readonly method?: unknown; readonly route?: unknown } | undefined): {
  method: string | undefined
  route: string | undefined
} {
  const text = (value: unknown) => (typeof value === 'string' ? value.slice(0, 1_000) : undefined)
  return { method: text(origin?.method), route: text(origin?.route) }
}
