import { AsyncResource } from 'node:async_hooks'
import type { SpanContext } from '@opentelemetry/api'
import type { Clock } from '../model/clock.ts'
import type { DeferOptions, TaskPlan } from '../model/options.ts'
import type { Origin } from '../model/origin.ts'
import type { Profiler } from '../model/profiler.ts'
import type { Scheduler } from '../scheduler/scheduler.ts'
import type { TaskQueue } from '../scheduler/task-queue.ts'
import { findWaiting, type WaitingPage, waitingPage } from '../scheduler/waiting.ts'
import type { Figures } from '../stats/figures.ts'
import type { TaskHistory } from '../stats/task-history.ts'
import type { BatchWork, Deferral, Handler, TaskHandle } from './deferral.ts'
import type { Foreground } from './foreground.ts'
import { KeptPayloads } from './kept-payloads.ts'
import type { Scope } from './scope.ts'

/** What is needed to defer again what has failed. */
export interface KeptWork {
  readonly id: string
  readonly task: TaskQueue<Deferral>
  readonly payload: unknown
  readonly handler: Handler<never>
  readonly batchWork: BatchWork | undefined
  readonly options: Pick<DeferOptions, 'priority' | 'relation'>
  readonly origin: Origin | undefined
  readonly parent: SpanContext | undefined
  /** Of the last attempt. */
  readonly previous: SpanContext | undefined
}

export interface InspectionOptions {
  readonly clock: Clock
  readonly scheduler: Scheduler<Deferral>
  readonly figures: Figures
  readonly foreground: Foreground
  readonly profiler: () => Profiler | undefined
  readonly queues: () => Iterable<TaskQueue<Deferral>>
  readonly labelOf: (name: string) => string
  /** Whether it is that of a task that was defined; a function that was deferred by itself may hold on to anything. */
  readonly isDefined: (handler: Handler<never>) => boolean
  /** Defers what has failed anew; its attempts are linked to `previous`. */
  readonly again: (work: KeptWork, scope: Scope) => Deferral
}

/**
 * What only a door asks that shows the work to people, and acts for them. From its first use on the last hour is kept, and, where
 * actions are wanted, payloads of failed tasks; until then neither costs anything.
 */
export class Inspection {
  readonly clock: Clock
  readonly foreground: Foreground
  readonly #options: InspectionOptions
  readonly #labels = new WeakMap<TaskQueue<Deferral>, string>()
  /** Of no request: what is deferred again runs in it. */
  readonly #resource = new AsyncResource('AfterspanInspection')
  #kept: KeptPayloads<KeptWork> | undefined

  constructor(options: InspectionOptions) {
    this.#options = options
    this.clock = options.clock
    this.foreground = options.foreground
    options.figures.keepHistory()
    options.foreground.keepRecent()
  }

  /** From now on what fails can be deferred again. */
  keepPayloads(): void {
    this.#kept ??= new KeptPayloads()
  }

  /** Of the payloads that are kept. */
  get bytes(): number {
    return this.#kept?.bytes ?? 0
  }

  /** A deferral has failed, and its payload is still there. */
  failed(job: Deferral): void {
    // An engine keeps its failed tasks itself.
    if (this.#kept === undefined || job.engine !== undefined) return
    const { id, task, payload, handler, batchWork, origin, parent, priority } = job
    if (batchWork === undefined && !this.#options.isDefined(handler)) return
    const options = { priority, relation: job.relation === 'none' ? 'none' : 'link' } as const
    this.#kept.add({ id, task, payload, handler, batchWork, options, origin, parent, previous: job.trace.previous })
  }

  /** undefined where nothing is sampled. */
  get profiler(): Profiler | undefined {
    return this.#options.profiler()
  }

  history(label: string): TaskHistory | undefined {
    return this.#options.figures.history(label)
  }

  /** The options of a task; of several that share a label, of the first. */
  plan(label: string): TaskPlan | undefined {
    return this.#queuesOf(label).next().value?.plan
  }

  /** The name by which a task with this label is paused, drained or resumed. */
  nameOf(label: string): string | undefined {
    return this.#queuesOf(label).next().value?.name
  }

  /** A part of what waits of a task; see `waitingPage`. */
  waiting(label: string, after: string | undefined, limit: number): WaitingPage<Deferral> | undefined {
    const { value: queue } = this.#queuesOf(label).next()
    return queue === undefined ? undefined : waitingPage(this.#options.scheduler.waitingOf(queue), after, limit)
  }

  /** Cancels one that waits; false where there is none of this id. */
  cancelWaiting(id: string, reason: string): boolean {
    const { scheduler, queues } = this.#options
    const tasks = [...queues()].map((queue) => scheduler.waitingOf(queue))
    return findWaiting(tasks, id)?.handle.cancel(reason) === true
  }

  retryable(id: string): boolean {
    return this.#kept?.has(id) === true
  }

  /** Defers again what has failed, once; undefined where its payload is not kept. */
  retry(id: string): TaskHandle | undefined {
    const work = this.#kept?.take(id)
    if (work === undefined) return undefined
    const { origin, parent } = work
    // The customer has waited for the first one; the effect of this one counts from now on.
    const since = this.clock.now()
    const asked = origin && {
      spanContext: origin.spanContext,
      method: origin.method,
      route: origin.route,
      endedAt: since,
    }
    const scope = { origin: asked, spanContext: parent, since, response: undefined }
    const job = this.#resource.runInAsyncScope(() => this.#options.again(work, scope))
    if (job.outcome === 'dropped') this.#kept!.add(work)
    return job.handle
  }

  *#queuesOf(label: string): Generator<TaskQueue<Deferral>, undefined> {
    for (const queue of this.#options.queues()) if (this.#labelOf(queue) === label) yield queue
  }

  /** Asked for once each: a name beyond the limit is counted whenever its label is asked for. */
  #labelOf(queue: TaskQueue<Deferral>): string {
    let label = this.#labels.get(queue)
    if (label === undefined) {
      label = this.#options.labelOf(queue.name)
      this.#labels.set(queue, label)
    }
    return label
  }
}
