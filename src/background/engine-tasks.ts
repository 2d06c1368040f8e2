import { AsyncResource } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import type { Clock } from '../model/clock.ts'
import type { Consumer, Depth, Engine, EngineQueue, Taken } from '../model/engine.ts'
import { AfterspanError } from '../model/errors.ts'
import type { DeferOptions, Logger, TaskPlan } from '../model/options.ts'
import { OTHER } from '../model/words.ts'
import type { Scheduler, Verdict } from '../scheduler/scheduler.ts'
import type { TaskQueue } from '../scheduler/task-queue.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import type { MessagingQueue } from '../telemetry/spans.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import { Deferral, type EngineSide, type Handler, type TaskContext } from './deferral.ts'
import { EngineDepths, type Place } from './engine-depths.ts'
import { EngineSender } from './engine-sender.ts'
import type { Observers } from './observers.ts'
import { checkPayload, readPayload } from './payload.ts'
import type { Scope } from './scope.ts'
import { deferralOf, isWatched, type Role, tell, type WatchedJob } from './taken.ts'

/** A task that an engine runs, in this process. */
interface EngineTask extends Place, Role {
  readonly plan: TaskPlan
  readonly queue: EngineQueue
  readonly sender: EngineSender
  readonly handler: Handler<never>
  /** The asynchronous context in which it was defined: it runs in that of no request, and of no connection. */
  readonly resource: AsyncResource
  concurrency: number
}

/** A queue whose jobs the engine's own worker runs, as the app has set it up: Afterspan looks on. */
export interface WatchedQueue {
  /** The name under which its depth is shown. */
  readonly name: string
  readonly messaging: MessagingQueue
  readonly consumer: Consumer
  /** How many jobs may run at once, at the moment. */
  concurrency(): number
  depth(): Promise<Depth>
}

export interface Watch {
  /** Runs one job under the name of a task; the handler is called before it returns. */
  run(task: string, job: WatchedJob, handler: Handler<undefined>): void
  /** The queue is no longer shown. */
  end(): void
}

/** How long an engine may take to be told, when the process ends, how attempts ended, ms. */
const LAST_WORDS = 5_000
export interface EngineTasksOptions {
  readonly clock: Clock
  readonly scheduler: () => Scheduler<Deferral>
  readonly telemetry: Telemetry
  readonly observers: Observers
  readonly logger: Logger
  /** The next number in the order of deferrals. */
  readonly next: () => number
  /** What is kept for a task that is not defined. */
  readonly newQueue: (name: string) => TaskQueue<Deferral>
}

/**
 * The tasks that run on engines. A deferral is sent at once and is the engine's from then on; a process that calls `work()`
 * takes tasks out and runs them by the same scheduler, timeouts and telemetry as any other.
 */
export class EngineTasks {
  readonly #options: EngineTasksOptions
  readonly #tasks = new Map<string, EngineTask>()
  /** The queues of the tasks, and those that are watched. */
  readonly #depths: EngineDepths
  readonly #watchedTasks = new Map<string, TaskQueue<Deferral>>()
  readonly #engines = new Set<Engine>()
  /** What was taken and is not settled. */
  readonly #runs = new Set<Promise<void>>()
  #working = false
  #stopped = false

  constructor(options: EngineTasksOptions) {
    this.#options = options
    this.#depths = new EngineDepths(options)
  }

  get depths(): EngineDepths {
    return this.#depths
  }

  define(name: string, task: TaskQueue<Deferral>, plan: TaskPlan, engine: Engine, handler: Handler<never>): void {
    const queue = engine.define(name, plan)
    this.#engines.add(engine)
    const { clock, scheduler, observers } = this.#options
    const defined: EngineTask = {
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
    }
    this.#tasks.set(name, defined)
    this.#depths.show(defined)
  }

  /** Shows a queue whose jobs the engine's own worker runs, and tells of each of them. */
  watch({ name, messaging, consumer, concurrency, depth }: WatchedQueue): Watch {
    this.#watchedTask(name)
    const place: Place = {
      ...{ name, messaging, consumer, queue: { depth }, depth: undefined, askedAt: undefined },
      get concurrency() {
        return concurrency()
      },
    }
    this.#depths.show(place)
    if (this.#stopped) void consumer.stop()
    const run = (task: string, job: WatchedJob, handler: Handler<undefined>): void => {
      const role = { name: task, task: this.#watchedTask(task), messaging, resource: undefined }
      const reporting = (handled: () => void) => async (payload: undefined, attempt: TaskContext) => {
        try {
          return await handler(payload, attempt)
        } finally {
          handled()
        }
      }
      this.#track(this.#run(role, job, reporting as (handled: () => void) => Handler<never>))
    }
    return { run, end: () => this.#depths.hide(place) }
  }

  /** Names come with the jobs, so they are bounded as all names are. Timeouts and retries are the engine's. */
  #watchedTask(name: string): TaskQueue<Deferral> {
    const { telemetry, newQueue } = this.#options
    const kept = telemetry.names.tasks.label(name) === OTHER ? OTHER : name
    const known = this.#watchedTasks.get(kept)
    if (known !== undefined) return known
    const task = newQueue(kept)
    const retry = { ...task.plan.retry, attempts: 1, retryIf: undefined, budget: undefined }
    task.plan = { ...task.plan, timeout: undefined, retry }
    telemetry.defineEngine(kept)
    this.#watchedTasks.set(kept, task)
    return task
  }

  has(name: string): boolean {
    return this.#tasks.has(name)
  }

  get consuming(): boolean {
    return this.#working || this.#depths.places.size > this.#tasks.size
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
    const job = deferralOf(this.#options, task, id, undefined, task.handler)
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
      onError: (error) => this.#depths.wrong(task, error),
    })
    task.consumer = consumer
    if (this.#stopped) await consumer.stop()
  }

  /** Runs what an engine gave; resolves when its handler has settled and the engine knows. */
  run(name: string, taken: Taken): Promise<void> {
    const task = this.#tasks.get(name)!
    return this.#track(this.#run(task, taken, (handled) => handlerFor(task, taken, handled)))
  }

  #track(running: Promise<void>): Promise<void> {
    const run = running.catch(() => selfHealth.caught('engine'))
    this.#runs.add(run)
    run.finally(() => this.#runs.delete(run))
    return run
  }

  async #run(role: Role, taken: Taken, handlerThat: (handled: () => void) => Handler<never>): Promise<void> {
    const handled = Promise.withResolvers<void>()
    const told = Promise.withResolvers<void>()
    const handler = handlerThat(() => {
      job.engine!.handled = true
      handled.resolve()
    })
    const job: Deferral = deferralOf(this.#options, role, taken.id, taken, handler)
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
    try {
      const known = await tell(job, taken, verdict)
      if (!known) this.#lost(job)
      if (isWatched(taken)) job.error ??= taken.error
      this.#options.scheduler().settleTaken(job, known ? outcomeOf(taken, verdict) : 'returned')
    } catch (error) {
      // Its lock will run out, and somebody will run it again.
      const task = this.#tasks.get(job.task.name)
      if (task !== undefined) this.#depths.wrong(task, error)
      this.#options.scheduler().settleTaken(job, 'returned')
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
    await Promise.allSettled([...this.#depths.places].map(({ consumer }) => consumer?.stop()))
    for (const task of this.#tasks.values()) task.concurrency = 0
  }

  /** Waits until the engines know how everything ended that was taken, as long as that makes sense, and lets go of them. */
  async close(): Promise<void> {
    this.#stopped = true
    this.#depths.stop()
    if (this.#depths.places.size === 0) return
    const { clock } = this.#options
    let cancelTimer: (() => void) | undefined
    const timeIsUp = new Promise<void>((resolve) => {
      cancelTimer = clock.after(LAST_WORDS, resolve)
    })
    const letGo = async () => {
      await Promise.allSettled(this.#runs)
      await Promise.allSettled([...this.#depths.places].map(({ consumer }) => consumer?.close()))
      await Promise.allSettled([...this.#engines].map((engine) => engine.close()))
    }
    await Promise.race([letGo(), timeIsUp])
    cancelTimer?.()
  }
}

/** How it ends here, now that the engine knows. */
function outcomeOf(taken: Taken, verdict: Verdict): 'completed' | 'failed' | 'retried' | 'returned' {
  if (isWatched(taken)) return taken.outcome ?? (verdict.outcome === 'completed' ? 'returned' : 'retried')
  if (verdict.outcome !== 'returned') return verdict.outcome
  return verdict.failed ? 'retried' : 'returned'
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
