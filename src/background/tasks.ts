import { AsyncResource } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import { type Context, context, ROOT_CONTEXT } from '@opentelemetry/api'
import { checkNumber, checkObject } from '../model/check.ts'
import { type Clock, systemClock } from '../model/clock.ts'
import type { Engine } from '../model/engine.ts'
import { AfterspanError } from '../model/errors.ts'
import { type Ledger, ledgerLine } from '../model/ledger.ts'
import {
  type BatchOptions,
  checkBatchDefer,
  checkDefer,
  checkEngineDefer,
  checkEngineTask,
  checkGrace,
  DEFAULTS,
  type DeferOptions,
  type EngineTaskOptions,
  resolveBatch,
  resolveSettings,
  resolveTask,
  type Settings,
  type TaskOptions,
  type TaskPlan,
} from '../model/options.ts'
import type { Profiler, ProfilerHost } from '../model/profiler.ts'
import { OTHER, type TaskMode } from '../model/words.ts'
import { Scheduler } from '../scheduler/scheduler.ts'
import type { TaskQueue } from '../scheduler/task-queue.ts'
import { Figures } from '../stats/figures.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import { Telemetry } from '../telemetry/telemetry.ts'
import { undeclaredWork } from '../telemetry/undeclared.ts'
import { type BrakeInternals, Brakes } from './brakes.ts'
import {
  AttemptContext,
  type BatchHandler,
  BatchRunContext,
  type BatchWork,
  Deferral,
  type Handler,
  type TaskContext,
  type TaskHandle,
} from './deferral.ts'
import { EngineTasks, type Watch, type WatchedQueue } from './engine-tasks.ts'
import { type EventName, Events, type Listener } from './events.ts'
import { FailureLog, write } from './failure-log.ts'
import type { Foreground } from './foreground.ts'
import { Inspection } from './inspection.ts'
import { LoopWatch } from './loop-watch.ts'
import { checkMode, drained } from './modes.ts'
import { Observers } from './observers.ts'
import type { CloseOptions, EngineTask, Snapshot, Task, TasksOptions, WorkOptions } from './public.ts'
import { currentScope, type Ending, inScope, type Scope } from './scope.ts'
import { closeOnSignals, flushTelemetry } from './shutdown.ts'

/** What is given beside the public options: by tests and benchmarks, and where the parts are put together. */
export interface Internals extends BrakeInternals {
  readonly clock?: Clock
  readonly random?: () => number
  /** Starts the profiler that a task asks for. */
  readonly profiler?: (tasks: Tasks) => void
}

const ENDLESS = Number.POSITIVE_INFINITY

/** Runs the background work of an app. Made by `createTasks`. */
export class Tasks {
  readonly #settings: Settings
  readonly #options: TasksOptions
  readonly #clock: Clock
  readonly #scheduler: Scheduler<Deferral>
  readonly #telemetry: Telemetry
  readonly #figures: Figures
  readonly #events = new Events()
  readonly #observers: Observers
  readonly #loop: LoopWatch
  readonly #startProfiler: ((tasks: Tasks) => void) | undefined
  readonly #queues = new Map<string, { queue: TaskQueue<Deferral>; defined: boolean }>()
  readonly #idPrefix = `${randomBytes(6).toString('hex')}-`
  readonly #cancel = (job: Deferral, reason: unknown) => this.#scheduler.cancel(job, reason)
  readonly #engines: EngineTasks
  readonly #brakes: Brakes
  readonly #handlers = new Set<Handler<never>>()
  #inspection: Inspection | undefined
  readonly #ends: (() => Promise<unknown>)[] = []
  #seq = 0
  /** Clock ms from which on nothing new is accepted; Infinity as long as it is open. */
  #closedSince = ENDLESS
  #draining = false
  #closed: Promise<Ledger> | undefined
  #forgetSignals: (() => void) | undefined

  /** For the doors, which measure by the same clock. */
  static clockOf(tasks: Tasks): Clock {
    return tasks.#clock
  }

  /** For doors that run attempts elsewhere: this task's heap is not that of this thread. */
  static runsElsewhere(tasks: Tasks, name: string): void {
    tasks.#loop.leaveOut(tasks.#telemetry.names.tasks.label(name))
  }

  /** For doors that run attempts elsewhere: what one of them used there. CPU in seconds, heap growth in bytes. */
  static used(tasks: Tasks, name: string, cpu: number | undefined, heap: number): void {
    tasks.#telemetry.used(name, cpu, heap)
  }

  /** For doors that have something to end: called when `close()` has given every deferral its outcome. */
  static whenClosed(tasks: Tasks, end: () => Promise<unknown>): void {
    tasks.#ends.push(end)
  }

  /** For doors that serve requests. */
  static foregroundOf(tasks: Tasks): Foreground {
    return tasks.#loop.foreground
  }

  /** For the profiler: it is told of every attempt that runs in this thread, until the function that is returned is called. */
  static attachProfiler(tasks: Tasks, make: (host: ProfilerHost) => Profiler): () => void {
    tasks.#loop.attach(make)
    return () => tasks.#loop.detach()
  }

  /** For doors that have something to say: to the app's logger. */
  static log(tasks: Tasks, line: string): void {
    write(tasks.#settings.logger, 'info', line)
  }

  /** For doors that show the work to people. */
  static inspect(tasks: Tasks): Inspection {
    tasks.#inspection ??= tasks.#inspect()
    return tasks.#inspection
  }

  /** For doors that look on while the app's own workers run the jobs of an engine. */
  static watch(tasks: Tasks, queue: WatchedQueue): Watch {
    return tasks.#engines.watch(queue)
  }

  constructor(options: TasksOptions = {}, internals: Internals = {}) {
    this.#settings = resolveSettings(options, ['tracerProvider', 'meterProvider'])
    this.#options = options
    this.#clock = internals.clock ?? systemClock
    this.#figures = new Figures(this.#clock)
    this.#telemetry = new Telemetry({
      clock: this.#clock,
      limits: this.#settings.limits,
      tracerProvider: options.tracerProvider,
      meterProvider: options.meterProvider,
      oldest: () => this.#oldest(),
      engines: () => this.#engines.depths.readings(),
      limit: () => this.#brakes.limit,
      used: () => this.#scheduler.used,
      governor: () => this.#brakes.governor(),
      heapGuarded: () => this.#brakes.heapGuarded,
    })
    const { logger } = this.#settings
    this.#loop = new LoopWatch({
      clock: this.#clock,
      telemetry: this.#telemetry,
      figures: this.#figures,
      logger,
      meterProvider: options.meterProvider,
    })
    this.#startProfiler = internals.profiler
    const log = new FailureLog(this.#clock, logger)
    const observers = new Observers(this.#telemetry, this.#figures, this.#events, log, this.#loop)
    this.#observers = observers
    this.#engines = new EngineTasks({
      clock: this.#clock,
      scheduler: () => this.#scheduler,
      telemetry: this.#telemetry,
      observers,
      logger: this.#settings.logger,
      next: () => this.#seq++,
      newQueue: (name) => this.#newQueue(name),
    })
    this.#brakes = new Brakes(this.#settings, this.#clock, () => this.#scheduler, internals)
    this.#scheduler = new Scheduler<Deferral>({
      clock: this.#clock,
      concurrency: this.#settings.concurrency,
      queueLimit: this.#settings.queueLimit,
      gates: this.#brakes.gates,
      maxHold: this.#settings.maxHold,
      random: internals.random ?? Math.random,
      execute: (job) => this.#execute(job),
      executeBatch: (jobs, fail) => this.#executeBatch(jobs, fail),
      groupOf,
      abort: (job, reason) => job.current?.abort(reason),
      acknowledge: (job, verdict) => void this.#engines.acknowledge(job, verdict),
      observer: this.#observers,
      hookThrew: () => selfHealth.caught('retry_if'),
    })
    const { shutdown } = this.#settings
    if (shutdown !== undefined) {
      this.#forgetSignals = closeOnSignals({
        closeOnSignal: async () => {
          await this.close({ grace: shutdown.grace, drain: true })
        },
        abandon: () => this.#scheduler.cancelAll('a second signal'),
        leftBehind: () => this.#leftBehind(),
      })
    }
  }

  /**
   * Defines a kind of work, with a handler and its options.
   *
   * @throws AfterspanError ERR_AFTERSPAN_TASK_NAME, ERR_AFTERSPAN_TASK_EXISTS, ERR_AFTERSPAN_HANDLER, ERR_AFTERSPAN_OPTION.
   */
  define<P>(
    name: string,
    handler: (payload: P, context: TaskContext) => unknown,
    options: EngineTaskOptions<P>,
  ): EngineTask<P>
  define<P>(name: string, handler: (payload: P, context: TaskContext) => unknown, options?: TaskOptions): Task<P>
  define<P>(
    name: string,
    handler: (payload: P, context: TaskContext) => unknown,
    options?: TaskOptions,
  ): Task<P> | EngineTask<P> {
    checkName(name)
    checkHandler(name, handler)
    const plan = resolveTask(options, this.#settings.plan)
    this.#profile(name, plan)
    const { engine } = plan
    if (engine !== undefined) return this.#defineOnEngine<P>(name, handler as Handler<never>, plan, engine)
    const queue = this.#defineQueue(name, plan)
    this.#handlers.add(handler as Handler<never>)
    const defer = (payload?: P, deferOptions?: DeferOptions) =>
      this.#defer(queue, payload, handler as Handler<never>, undefined, deferOptions)
    return Object.freeze({ name, defer }) as Task<P>
  }

  /**
   * Defines a kind of work whose items run together: `defer` takes single items, the handler gets up to `maxSize` of them,
   * `maxWait` after the first was ready at the latest. Each item has its own handle, outcome, retries and metrics; a run has
   * one slot and one span, linked to every request that asked for one of its items, and each of them to it.
   *
   * @throws AfterspanError ERR_AFTERSPAN_TASK_NAME, ERR_AFTERSPAN_TASK_EXISTS, ERR_AFTERSPAN_HANDLER, ERR_AFTERSPAN_OPTION.
   */
  defineBatch<P>(name: string, handler: BatchHandler<P>, options?: BatchOptions<P>): Task<P> {
    checkName(name)
    checkHandler(name, handler)
    const plan = resolveBatch(options, this.#settings.plan)
    this.#profile(name, plan)
    const queue = this.#defineQueue(name, plan)
    const work = { handler: handler as BatchHandler<never>, resource: new AsyncResource('AfterspanBatch') }
    const defer = (payload?: P, deferOptions?: DeferOptions) => this.#defer(queue, payload, NOTHING, work, deferOptions)
    return Object.freeze({ name, defer }) as Task<P>
  }

  #defineOnEngine<P>(name: string, handler: Handler<never>, plan: TaskPlan, engine: Engine): EngineTask<P> {
    checkEngineTask(name, plan)
    const queue = this.#defineQueue(name, plan)
    this.#engines.define(name, queue, plan, engine, handler)
    const defer = (payload?: P, given?: DeferOptions) => {
      const options = checkDefer(given)
      checkEngineDefer(options)
      const scope = currentScope()
      const job = this.#engines.defer(name, payload, options, scope, this.#refusal(scope))
      this.#cancelOn(options.signal, job)
      return job.handle
    }
    const cancel = (id: string) => this.#engines.cancel(name, id)
    return Object.freeze({ name, defer, cancel }) as EngineTask<P>
  }

  /**
   * Runs the tasks that have an engine, in this process too, until `close()`. Resolves when all are connected.
   *
   * @throws AfterspanError ERR_AFTERSPAN_WORK where there is none, or when it is called twice; ERR_AFTERSPAN_OPTION.
   */
  async work(options?: WorkOptions): Promise<void> {
    const given = checkObject('options', options, ['concurrency', 'tasks'])
    const bounds = { min: 1, max: 10_000, whole: true }
    await this.#engines.work(checkNumber('concurrency', given.concurrency, bounds) ?? DEFAULTS.work, given.tasks)
  }

  #profile(name: string, plan: TaskPlan): void {
    if (plan.profile === undefined || this.#loop.profiler !== undefined) return
    if (this.#startProfiler !== undefined) {
      this.#startProfiler(this)
      return
    }
    throw new AfterspanError(
      'ERR_AFTERSPAN_PROFILER',
      `Task "${name}" is to be profiled, and these tasks have no profiler. Call startProfiler(tasks) of afterspan/profiler first.`,
    )
  }

  #defineQueue(name: string, plan: TaskPlan): TaskQueue<Deferral> {
    const known = this.#queues.get(name)
    if (known?.defined === true) {
      throw new AfterspanError(
        'ERR_AFTERSPAN_TASK_EXISTS',
        `A task "${name}" is defined already. Define it once and share the Task.`,
      )
    }
    const queue = known?.queue ?? this.#newQueue(name)
    queue.plan = plan
    this.#queues.set(name, { queue, defined: true })
    return queue
  }

  /**
   * Defers one function, without `define`. Under the name of a defined task it runs by that task's options.
   *
   * @throws AfterspanError ERR_AFTERSPAN_TASK_NAME, ERR_AFTERSPAN_HANDLER, ERR_AFTERSPAN_OPTION.
   */
  defer(name: string, run: (context: TaskContext) => unknown, options?: DeferOptions): TaskHandle {
    checkName(name)
    checkHandler(name, run)
    if (this.#engines.has(name)) {
      throw new AfterspanError(
        'ERR_AFTERSPAN_ENGINE',
        `Task "${name}" runs on an engine, which cannot take a function. Hand it a payload: ${JSON.stringify(name)} is what define returned.`,
      )
    }
    const handler = (_payload: never, context: TaskContext) => run(context)
    return this.#defer(this.#queueOf(name), undefined, handler, undefined, options)
  }

  /**
   * Tells of work that runs already, such as a floating promise: the same spans and metrics, no scheduling, no slot. Its
   * rejection counts as handled.
   *
   * @throws AfterspanError ERR_AFTERSPAN_TASK_NAME, ERR_AFTERSPAN_PROMISE.
   */
  track(name: string, promise: PromiseLike<unknown>): TaskHandle {
    checkName(name)
    if (typeof (promise as PromiseLike<unknown> | undefined)?.then !== 'function') {
      throw new AfterspanError(
        'ERR_AFTERSPAN_PROMISE',
        `tasks.track("${name}", …) takes a promise, got ${typeof promise}.`,
      )
    }
    const job = this.#newJob(this.#queueOf(name), undefined, NOTHING, undefined, {}, currentScope(), true)
    const run = this.#scheduler.adopt(job)
    Promise.resolve(promise).then(
      () => this.#scheduler.settle(run, 'ok'),
      (error) => this.#scheduler.settle(run, 'error', error),
    )
    return job.handle
  }

  /**
   * Starts no more attempts of a task, until `resume`: deferrals are accepted and wait. What runs goes on. When the process
   * shuts down, what waits of it is cancelled.
   *
   * @throws AfterspanError ERR_AFTERSPAN_UNKNOWN_TASK; ERR_AFTERSPAN_ENGINE where an engine runs it.
   */
  pause(name: string): void {
    this.#setMode(name, 'paused')
  }

  /**
   * Takes no more deferrals of a task, until `resume`: they are dropped with ERR_AFTERSPAN_DRAINING. What waits is run.
   *
   * @throws As `pause`.
   */
  drain(name: string): void {
    this.#setMode(name, 'draining')
  }

  /**
   * Ends what `pause` or `drain` began.
   *
   * @throws As `pause`.
   */
  resume(name: string): void {
    this.#setMode(name, 'running')
  }

  #setMode(name: string, mode: TaskMode): void {
    const queue = checkMode(name, this.#queues.get(name)?.queue, this.#engines.has(name))
    if (queue.mode === mode) return
    this.#scheduler.setMode(queue, mode)
    if (queue.mode === mode) this.#events.mode(name, mode)
  }

  /** Listens to what happens; the function that is returned stops it. A listener that throws is counted and harms nobody. */
  on<E extends EventName>(event: E, listener: Listener<E>): () => void {
    return this.#events.on(event, listener)
  }

  /** The figures of this moment, which `health` and the dashboard show. */
  snapshot(): Snapshot {
    const ages = new Map<string, number>()
    for (const [name, age] of this.#oldest()) {
      const label = this.#telemetry.names.tasks.label(name)
      ages.set(label, Math.max(age, ages.get(label) ?? 0))
    }
    return {
      concurrency: { limit: this.#brakes.limit, used: this.#scheduler.used },
      queue: { limit: this.#settings.queueLimit, waiting: this.#scheduler.waiting },
      state: this.#closedSince === ENDLESS ? 'open' : this.#draining ? 'draining' : 'closed',
      ledger: this.ledger(),
      engines: [...this.#engines.depths.readings()].map(([task, { concurrency, up, young, depth, queue }]) => ({
        task,
        system: queue.system,
        queue: queue.name,
        concurrency,
        up: young ? null : up,
        holds: depth ?? null,
      })),
      undeclared: undeclaredWork.read(),
      foreground: this.#loop.foreground.read(),
      governor: this.#brakes.governor(),
      heap: this.#brakes.heap(),
      ...this.#figures.read(ages, this.#modes()),
    }
  }

  /** The counts that always balance. */
  ledger(): Ledger {
    return this.#scheduler.ledger()
  }

  /**
   * Stops accepting, lets attempts that run finish within `grace`, cancels the rest, flushes telemetry, and resolves to the
   * ledger, in which every deferral then has its outcome. Also done on SIGTERM and SIGINT, unless `shutdown` is false. Called
   * again, it returns the same promise.
   *
   * @throws AfterspanError ERR_AFTERSPAN_OPTION for wrong options.
   */
  close(options: CloseOptions = {}): Promise<Ledger> {
    const grace = checkGrace(options.grace)
    this.#closed ??= this.#close(grace, options.drain === true)
    return this.#closed
  }

  async #close(grace: number, drain: boolean): Promise<Ledger> {
    const now = this.#clock.now()
    this.#closedSince = now
    this.#draining = drain
    this.#brakes.close()
    if (this.#engines.consuming) await this.#engines.stop()
    if (drain) this.#scheduler.drain(now + grace)
    else this.#scheduler.stop()
    await this.#idleWithin(grace)
    this.#draining = false
    this.#scheduler.cancelAll('closed')
    await this.#engines.close()
    await Promise.allSettled(this.#ends.map((end) => end()))
    await flushTelemetry(this.#options.tracerProvider, this.#options.meterProvider)
    this.#forgetSignals?.()
    this.#telemetry.close()
    this.#loop.close()
    const ledger = this.ledger()
    write(this.#settings.logger, 'info', `afterspan: closed; ${ledgerLine(ledger)}`)
    return ledger
  }

  async #idleWithin(grace: number): Promise<void> {
    let cancelTimer: (() => void) | undefined
    const timeIsUp = new Promise<void>((resolve) => {
      cancelTimer = this.#clock.after(grace, resolve)
    })
    await Promise.race([this.#scheduler.idle(), timeIsUp])
    cancelTimer?.()
  }

  #defer(
    queue: TaskQueue<Deferral>,
    payload: unknown,
    handler: Handler<never>,
    batch: BatchWork | undefined,
    given: DeferOptions | undefined,
  ): TaskHandle {
    const options = checkDefer(given)
    if (batch !== undefined) checkBatchDefer(options)
    if (options.key !== undefined) {
      const same = queue.keys.get(options.key)
      if (same !== undefined) {
        this.#observers.deduplicated(same)
        return same.handle
      }
    }
    const scope = currentScope()
    const job = this.#newJob(queue, payload, handler, batch, options, scope, false)
    const refusal = this.#refusal(scope) ?? drained(queue)
    const response = refusal === undefined ? scope?.response : undefined
    this.#scheduler.defer(job, response !== undefined, refusal)
    if (job.state === 'held') response?.add({ responseOver: (ending) => this.#responseOver(job, ending) })
    this.#cancelOn(options.signal, job)
    return job.handle
  }

  #cancelOn(signal: AbortSignal | undefined, job: Deferral): void {
    if (signal === undefined || job.state === undefined) return
    if (signal.aborted) job.handle.cancel(signal.reason)
    else job.listenTo(signal, (reason) => job.handle.cancel(reason))
  }

  #responseOver(job: Deferral, ending: Ending): void {
    const { onAbort, onError } = this.#settings
    if ((ending === 'aborted' && onAbort === 'cancel') || (ending === 'errored' && onError === 'cancel')) {
      if (job.state === 'held') this.#scheduler.cancel(job, `the response was ${ending}`)
    } else {
      this.#scheduler.trigger(job)
    }
  }

  #execute(job: Deferral): unknown {
    const attempt = new AttemptContext(job)
    job.current = attempt
    const scope: Scope = {
      origin: job.origin,
      spanContext: job.trace.attempt?.spanContext() ?? job.parent,
      since: job.deferredAt,
      response: undefined,
    }
    const otel = this.#telemetry.contextOf(job)
    const { profiler } = this.#loop
    return this.#loop.call(job, () =>
      job.resource!.runInAsyncScope(runHandler, undefined, job, attempt, scope, otel, profiler),
    )
  }

  #executeBatch(jobs: readonly Deferral[], fail: (index: number, error: unknown) => void): unknown {
    const first = jobs[0]!
    const run = new BatchRunContext(jobs, fail)
    for (const job of jobs) job.current = run
    const scope: Scope = {
      origin: undefined,
      spanContext: first.trace.attempt?.spanContext(),
      since: Math.min(...jobs.map(({ deferredAt }) => deferredAt)),
      response: undefined,
    }
    const otel = this.#telemetry.contextOfBatch(first)
    const { handler, resource } = first.batchWork!
    const payloads = jobs.map(({ payload }) => payload)
    const { profiler } = this.#loop
    const runBatch = () =>
      inScope(scope, () => context.with(otel, handler as BatchHandler<unknown>, undefined, payloads, run))
    return this.#loop.call(first, () =>
      resource.runInAsyncScope(() => (profiler === undefined ? runBatch() : profiler.run(first, runBatch))),
    )
  }

  /** Why a deferral cannot be accepted, whatever the load. While draining, what was begun before may still defer. */
  #refusal(scope: Scope | undefined): AfterspanError | undefined {
    if (this.#closedSince === ENDLESS) return undefined
    if (this.#draining && scope !== undefined && scope.since < this.#closedSince) return undefined
    return new AfterspanError(
      'ERR_AFTERSPAN_CLOSED',
      'Dropped: tasks.close() was called, or the process is shutting down.',
    )
  }

  #inspect(): Inspection {
    const inspection = new Inspection({
      clock: this.#clock,
      scheduler: this.#scheduler,
      figures: this.#figures,
      foreground: this.#loop.foreground,
      profiler: () => this.#loop.profiler,
      queues: () => [...this.#queues.values()].map(({ queue }) => queue),
      labelOf: (name) => this.#telemetry.names.tasks.label(name),
      isDefined: (handler) => this.#handlers.has(handler),
      again: ({ task, payload, handler, batchWork, options, previous }, scope) => {
        const defer = () => this.#newJob(task, payload, handler, batchWork, options, scope, false)
        const job = context.with(ROOT_CONTEXT, defer)
        job.trace.previous = previous
        this.#scheduler.defer(job, false, this.#refusal(undefined) ?? drained(task))
        return job
      },
    })
    this.#observers.inspection = inspection
    return inspection
  }

  #newJob(
    queue: TaskQueue<Deferral>,
    payload: unknown,
    handler: Handler<never>,
    batch: BatchWork | undefined,
    options: DeferOptions,
    scope: Scope | undefined,
    adopted: boolean,
  ): Deferral {
    const seq = this.#seq++
    const work = { payload, handler, batch, adopted, cancel: this.#cancel }
    const id = this.#idPrefix + seq.toString(36)
    return new Deferral(
      id,
      seq,
      queue as unknown as TaskQueue<never>,
      options,
      this.#clock.now(),
      work,
      scope,
      this.#telemetry.trace(queue.name),
    )
  }

  #queueOf(name: string): TaskQueue<Deferral> {
    const known = this.#queues.get(name)
    if (known !== undefined) return known.queue
    // A name of its own costs memory for ever, so names that come with the data must not be kept without bound.
    const label = this.#telemetry.names.tasks.label(name)
    const kept = label === OTHER ? OTHER : name
    const other = this.#queues.get(kept)
    if (other !== undefined) return other.queue
    const queue = this.#newQueue(kept)
    this.#queues.set(kept, { queue, defined: false })
    return queue
  }

  #newQueue(name: string): TaskQueue<Deferral> {
    this.#telemetry.define(name)
    this.#figures.define(this.#telemetry.names.tasks.label(name))
    return this.#scheduler.task(name, this.#settings.plan)
  }

  /** By label, those that do not just run. */
  #modes(): Map<string, TaskMode> {
    const modes = new Map<string, TaskMode>()
    for (const { queue } of this.#queues.values()) {
      if (queue.mode !== 'running') modes.set(this.#telemetry.names.tasks.label(queue.name), queue.mode)
    }
    return modes
  }

  *#oldest(): Iterable<readonly [string, number]> {
    const now = this.#clock.now()
    for (const { queue } of this.#queues.values()) {
      const readyAt = queue.oldestReadyAt()
      if (readyAt !== undefined) yield [queue.name, Math.max(0, now - readyAt)]
    }
  }

  #leftBehind(): string | undefined {
    const { unfinished, taken } = this.#scheduler
    if (unfinished === 0) return undefined
    const fate = taken === unfinished ? 'which their engine will give to another process' : 'which are lost'
    return `afterspan: the process exits with unfinished tasks, ${fate}; ${ledgerLine(this.ledger())}`
  }
}

const NOTHING: Handler<never> = () => undefined

function runHandler(
  job: Deferral,
  attempt: AttemptContext,
  scope: Scope,
  otel: Context,
  profiler: Profiler | undefined,
): unknown {
  const run = () =>
    inScope(scope, () => context.with(otel, job.handler as Handler<unknown>, undefined, job.payload, attempt))
  return profiler === undefined ? run() : profiler.run(job, run)
}

/** Which items of a batch task may run together; undefined for what runs alone, be it under that task's name. */
function groupOf(job: Deferral): string | undefined {
  if (job.batchWork === undefined) return undefined
  const groupBy = job.task.plan.batch?.groupBy
  if (groupBy === undefined) return ''
  try {
    return String(groupBy(job.payload as never))
  } catch {
    selfHealth.caught('group_by')
    return ''
  }
}

function checkName(name: unknown): void {
  if (typeof name === 'string' && name.length >= 1 && name.length <= 200) return
  const got = typeof name === 'string' ? `one of ${name.length}` : typeof name
  throw new AfterspanError(
    'ERR_AFTERSPAN_TASK_NAME',
    `Expected a task's name to be a string of 1 to 200 characters, got ${got}.`,
  )
}

function checkHandler(name: string, handler: unknown): void {
  if (typeof handler === 'function') return
  throw new AfterspanError(
    'ERR_AFTERSPAN_HANDLER',
    `Expected the handler of task "${name}" to be a function, got ${typeof handler}.`,
  )
}
