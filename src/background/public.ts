import type { MeterProvider, TracerProvider } from '@opentelemetry/api'
import type { Depth } from '../model/engine.ts'
import type { Ledger } from '../model/ledger.ts'
import type { DeferOptions, SchedulingOptions } from '../model/options.ts'
import type { UndeclaredFigures } from '../model/undeclared.ts'
import type { TaskMode } from '../model/words.ts'
import type { TaskFigures } from '../stats/figures.ts'
import type { TaskHandle } from './deferral.ts'
import type { ForegroundFigures } from './foreground.ts'
import type { GovernorFigures } from './governor.ts'
import type { HeapFigures } from './heap-guard.ts'

/** Options of `createTasks`. */
export interface TasksOptions extends SchedulingOptions {
  /** Where spans go. Default: the global provider, whenever it is registered. */
  tracerProvider?: TracerProvider
  /** Where metrics go. Default: the global provider, whenever it is registered. */
  meterProvider?: MeterProvider
}

/** How `close` ends what is unfinished. */
export interface CloseOptions {
  /** How long attempts that run may go on, in ms: 0 to 2^31 - 1. Default 15,000. */
  grace?: number
  /**
   * `true`: what waits may start as long as the grace lasts, and requests that are being answered may still defer. Default
   * false: what waits is cancelled at once. A signal drains.
   */
  drain?: boolean
}

/** What is known of a task's queue in an engine. */
export interface EngineFigures {
  readonly task: string
  /** Such as `bullmq`. */
  readonly system: string
  readonly queue: string
  /** How many attempts this process may run at once; 0 where it does not consume. */
  readonly concurrency: number
  /** Whether it has said so in the last 35 s; null as long as it has not been asked, or only just. */
  readonly up: boolean | null
  /** What the engine holds; null where it has not said so in the last 35 s. `oldest` in seconds. */
  readonly holds: Depth | null
}

/** A named kind of work. */
export interface Task<P> {
  readonly name: string
  /**
   * Hands one payload to the task. It never throws for load: a deferral that is not accepted has the outcome `dropped`.
   *
   * @throws AfterspanError ERR_AFTERSPAN_OPTION for wrong options.
   */
  defer(
    ...args: unknown extends P ? [payload?: P, options?: DeferOptions] : [payload: P, options?: DeferOptions]
  ): TaskHandle
}

/** A task that an engine runs. */
export interface EngineTask<P> extends Task<P> {
  /**
   * Takes a deferral out of its queue that waits there, from whichever process; it is counted as `cancelled` in this one.
   *
   * @param id Of its handle.
   * @returns False where there is none, or where it runs or has ended.
   * @throws What the engine says where it cannot be reached.
   */
  cancel(id: string): Promise<boolean>
}

/** How `tasks.work` consumes. */
export interface WorkOptions {
  /** How many attempts of each task may run at once in this process: 1 to 10,000. Default 16. A task's own `concurrency` holds as well. */
  concurrency?: number
  /** The names of the tasks to run. Default: all that have an engine. */
  tasks?: readonly string[]
}

/** The figures of one moment. */
export interface Snapshot {
  readonly concurrency: { readonly limit: number; readonly used: number }
  readonly queue: { readonly limit: number; readonly waiting: number }
  /** `draining` and `closed` once `close` was called. */
  readonly state: 'open' | 'draining' | 'closed'
  readonly ledger: Ledger
  /** One for each task that an engine runs. */
  readonly engines: readonly EngineFigures[]
  /** Work that is no task and went on after responses, in the whole process, as far as its spans tell; the most time first. */
  readonly undeclared: readonly UndeclaredFigures[]
  /** Requests and the event loop while tasks ran, and while none did; in the whole process. */
  readonly foreground: ForegroundFigures
  /** What holds tasks back for the event loop's sake; undefined where there is no governor. */
  readonly governor: GovernorFigures | undefined
  readonly heap: HeapFigures
  readonly total: TaskFigures
  readonly tasks: readonly (TaskFigures & { readonly name: string; readonly mode: TaskMode })[]
}
