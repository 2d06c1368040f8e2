import type { Context, MeterProvider, TracerProvider } from '@opentelemetry/api'
import type { Clock } from '../model/clock.ts'
import { describeError } from '../model/describe-error.ts'
import { effectOf } from '../model/effect.ts'
import type { Carrier } from '../model/engine.ts'
import type { Limits } from '../model/options.ts'
import type { Place } from '../model/profiler.ts'
import type { AttemptEnd, Observer } from '../model/seam.ts'
import type { Outcome, Priority, State } from '../model/words.ts'
import { type EngineReading, type GaugeSource, type GovernorReading, MetricRegistry } from './metric-registry.ts'
import { Names } from './names.ts'
import { type CaughtReason, selfHealth } from './self-health.ts'
import { LONGEST_DEFER_SPAN, Spans, Trace, type Traced } from './spans.ts'
import type { TaskTally } from './tally.ts'
import { traceHolds } from './trace-holds.ts'

/** What telemetry needs to know of a deferral. */
export interface TelemetryJob extends Traced {
  readonly trace: TaskTrace
  /** Clock ms. */
  readonly deferredAt: number
  readonly error: unknown
  /** That of its task. */
  readonly usualPriority: Priority
}

/** The spans of one deferral, and the counts of its task. */
export class TaskTrace extends Trace {
  readonly tally: TaskTally

  constructor(name: string, tally: TaskTally) {
    super(name)
    this.tally = tally
  }
}

export interface TelemetryOptions {
  readonly clock: Clock
  readonly limits: Required<Limits>
  readonly tracerProvider: TracerProvider | undefined
  readonly meterProvider: MeterProvider | undefined
  /** The raw name and the age in ms of the oldest ready task, of every task. */
  readonly oldest: () => Iterable<readonly [name: string, age: number]>
  readonly engines: () => Iterable<readonly [name: string, reading: EngineReading]>
  readonly limit: () => number
  readonly used: () => number
  readonly governor: () => GovernorReading | undefined
  readonly heapGuarded: () => boolean
}

/** What an attempt leaves behind: spans, metrics, exemplars. It observes the scheduler, and never throws into it. */
export class Telemetry implements Observer<TelemetryJob> {
  readonly names: Names
  readonly #clock: Clock
  readonly #spans: Spans
  readonly #registry: MetricRegistry
  readonly #source: GaugeSource
  /** Deferrals with an open `defer` span, the oldest first. */
  readonly #waiting = new Set<TelemetryJob>()
  #sweeping = false

  constructor(options: TelemetryOptions) {
    this.names = new Names(options.limits)
    this.#clock = options.clock
    this.#spans = new Spans(options.tracerProvider)
    this.#registry = MetricRegistry.for(options.meterProvider)
    this.#source = {
      limit: options.limit,
      used: options.used,
      governor: options.governor,
      heapGuarded: options.heapGuarded,
      oldest: () => this.#labelled(options.oldest()),
      engines: () => this.#labelled(options.engines()),
    }
    this.#registry.sources.add(this.#source)
  }

  /** To be called when a task is defined: its series exist at 0 from then on. */
  define(name: string): void {
    this.#registry.tally(this.names.tasks.label(name))
  }

  /** To be called when a task is defined that runs on an engine. */
  defineEngine(name: string): void {
    this.#registry.tally(this.names.tasks.label(name)).useEngine()
  }

  /** What travels with a job to its engine; what is traced there hangs on it. */
  carrier(job: TelemetryJob): Carrier {
    const carrier: { -readonly [K in keyof Carrier]: Carrier[K] } = {}
    try {
      Object.assign(carrier, this.#spans.carrier(job))
    } catch {
      selfHealth.caught('span')
    }
    const { origin, priority } = job
    const known = {
      ...(priority !== job.usualPriority && { priority }),
      ...(origin?.method !== undefined && { method: origin.method }),
      ...(origin?.route !== undefined && { route: origin.route }),
    }
    if (Object.keys(known).length > 0) carrier.afterspan = known
    return carrier
  }

  /** What a new deferral of the task carries with it. */
  trace(name: string): TaskTrace {
    const label = this.names.tasks.label(name)
    return new TaskTrace(label, this.#registry.tally(label))
  }

  /** What an attempt used in a thread of its own. @param cpu Seconds; undefined where it cannot be told. @param heap Bytes. */
  used(name: string, cpu: number | undefined, heap: number): void {
    const tally = this.#registry.tally(this.names.tasks.label(name))
    if (cpu !== undefined) tally.useCpu(cpu)
    guarded('metric', () => this.#registry.instruments.heap.record(Math.max(0, heap), tally.heap(false)))
  }

  /** What a task has used of this thread's CPU, by samples, seconds. @param label Under which it is counted. */
  usedCpu(label: string, seconds: number): void {
    this.#registry.tally(label).useCpu(seconds)
  }

  /** By how much the heap grew in the running attempt, as far as that can be told from outside. Bytes. */
  heapGrew(job: TelemetryJob, growth: number, allocated: number | undefined): void {
    guarded('metric', () => this.#registry.instruments.heap.record(growth, job.trace.tally.heap(true)))
    guarded('span', () => {
      const span = job.trace.attempt
      span?.setAttribute('task.heap', growth)
      if (allocated !== undefined) span?.setAttribute('task.heap.allocated', allocated)
      span?.setAttribute('task.heap.estimated', true)
    })
  }

  /** An attempt has held the event loop in one stretch; an `event`: its span, as long as it is open, says so. */
  blocked(job: TelemetryJob, attempt: number, seconds: number, event: boolean, place: Place | undefined): void {
    guarded('metric', () => this.#registry.instruments.blocked.record(seconds, job.trace.tally.deferred.attributes))
    if (event && job.attempt === attempt) guarded('span', () => this.#spans.blocked(job, seconds, place))
  }

  /** The context in which the handler of the running attempt is called. */
  contextOf(job: TelemetryJob): Context {
    return this.#spans.contextOf(job)
  }

  /** The context in which the handler of jobs that run together is called: that of none of their requests. */
  contextOfBatch(job: TelemetryJob): Context {
    return this.#spans.contextOfBatch(job)
  }

  /** Its gauges are no longer reported; the counts stay. */
  close(): void {
    this.#registry.sources.delete(this.#source)
  }

  deferred(job: TelemetryJob): void {
    job.trace.tally.deferred.value++
    traceHolds.hold(job.parent?.traceId)
    if (job.relation !== 'link') return
    guarded('span', () => {
      this.#spans.deferred(job)
      if (job.trace.waiting !== undefined) this.#watch(job)
    })
  }

  taken(job: TelemetryJob): void {
    const { taken, redelivered } = job.trace.tally.useEngine()
    traceHolds.hold(job.parent?.traceId)
    taken.value++
    if (job.redelivered) redelivered.value++
  }

  returned(job: TelemetryJob): void {
    job.trace.tally.pending.running.value--
    job.trace.tally.useEngine().returned.value++
    traceHolds.release(job.parent?.traceId)
  }

  lost(job: TelemetryJob): void {
    job.trace.tally.useEngine().lost.value++
    guarded('span', () => this.#spans.lost(job))
  }

  entered(job: TelemetryJob, state: State, from: State | undefined): void {
    const { pending } = job.trace.tally
    if (from !== undefined) pending[from].value--
    pending[state].value++
  }

  batchStarted(jobs: readonly TelemetryJob[]): void {
    guarded('span', () => this.#spans.batchStarted(jobs))
  }

  attemptStarted(job: TelemetryJob): void {
    this.#waiting.delete(job)
    try {
      this.#spans.attemptStarted(job)
    } catch {
      selfHealth.caught('span')
    }
    try {
      const series = job.trace.tally.wait(job.priority)
      const seconds = job.wait / 1000
      this.#registry.instruments.wait.record(seconds, series.attributes, job.context)
      const span = job.trace.attempt?.spanContext()
      if (span !== undefined) series.note(seconds, span)
    } catch {
      selfHealth.caught('metric')
    }
  }

  attemptEnded(job: TelemetryJob, end: AttemptEnd): void {
    const { tally, name } = job.trace
    const failed = end.result === 'error' || end.result === 'timeout'
    const errorType = failed ? this.names.errorType(name, describeError(end.error).type) : undefined
    tally.attempts(end.result, errorType).value++
    if (end.zombie) tally.zombies.value++
    try {
      this.#spans.attemptEnded(job, end, errorType)
    } catch {
      selfHealth.caught('span')
    }
    try {
      const series = tally.duration(end.result)
      const seconds = end.duration / 1000
      this.#registry.instruments.duration.record(seconds, series.attributes, job.context)
      if (job.trace.previous !== undefined) series.note(seconds, job.trace.previous)
    } catch {
      selfHealth.caught('metric')
    }
  }

  finished(job: TelemetryJob, outcome: Outcome, from: State | undefined): void {
    const { tally } = job.trace
    if (from !== undefined) tally.pending[from].value--
    tally.finished[outcome].value++
    traceHolds.release(job.parent?.traceId)
    try {
      this.#waiting.delete(job)
      if (job.trace.waiting !== undefined) this.#spans.gaveUpWaiting(job, outcome)
      if (outcome === 'dropped') this.#spans.dropped(job, job.error)
    } catch {
      selfHealth.caught('span')
    }
    // The process that runs it knows when its effect is there.
    if (outcome === 'handed_off') return
    try {
      const route = job.origin?.route
      const series = tally.effect(outcome, route === undefined ? undefined : this.names.routes.label(route))
      const seconds = effectOf(job, this.#clock.now()) / 1000
      this.#registry.instruments.effect.record(seconds, series.attributes, job.context)
      if (job.trace.previous !== undefined) series.note(seconds, job.trace.previous)
    } catch {
      selfHealth.caught('metric')
    }
  }

  zombieEnded(job: TelemetryJob): void {
    job.trace.tally.zombies.value--
  }

  retryRefused(job: TelemetryJob): void {
    job.trace.tally.retriesRefused.value++
  }

  deduplicated(job: TelemetryJob): void {
    job.trace.tally.deduplicated.value++
  }

  *#labelled<T>(values: Iterable<readonly [string, T]>): Iterable<readonly [string, T]> {
    for (const [name, value] of values) yield [this.names.tasks.label(name), value]
  }

  #watch(job: TelemetryJob): void {
    this.#waiting.add(job)
    if (!this.#sweeping) this.#sweepLater(job)
  }

  #sweepLater(oldest: TelemetryJob): void {
    const due = oldest.deferredAt + LONGEST_DEFER_SPAN - this.#clock.now()
    this.#sweeping = true
    this.#clock.after(Math.max(1, due), () => this.#sweep(), true)
  }

  #sweep(): void {
    this.#sweeping = false
    const now = this.#clock.now()
    for (const job of this.#waiting) {
      if (now - job.deferredAt < LONGEST_DEFER_SPAN) {
        this.#sweepLater(job)
        return
      }
      this.#waiting.delete(job)
      guarded('span', () => this.#spans.gaveUpWaiting(job))
    }
  }
}

/** Telemetry is never worth a failure of the app. */
function guarded(reason: CaughtReason, action: () => void): void {
  try {
    action()
  } catch {
    selfHealth.caught(reason)
  }
}
