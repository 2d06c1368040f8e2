import type { MeterProvider, TracerProvider } from '@opentelemetry/api'
import type { Ledger } from '../model/ledger.ts'
import type { DeferOptions, SchedulingOptions } from '../model/options.ts'
import type { TaskFigures } from '../stats/figures.ts'
import type { TaskHandle } from './deferral.ts'

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

/** The figures of one moment. */
export interface Snapshot {
  readonly concurrency: { readonly limit: number; readonly used: number }
  readonly queue: { readonly limit: number; readonly waiting: number }
  /** `draining` and `closed` once `close` was called. */
  readonly state: 'open' | 'draining' | 'closed'
  readonly ledger: Ledger
  readonly total: TaskFigures
  readonly tasks: readonly (TaskFigures & { readonly name: string })[]
}
