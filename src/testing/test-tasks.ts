import type { Attributes } from '@opentelemetry/api'
import type { BrakeInternals } from '../background/brakes.ts'
import type { TasksOptions } from '../background/public.ts'
import { Tasks } from '../background/tasks.ts'
import { systemClock } from '../model/clock.ts'
import { profileAsked } from '../profiler/start.ts'
import { createInMemoryTelemetry, type InMemoryTelemetry } from '../sdk/in-memory.ts'
import { ControlledClock } from './controlled-clock.ts'

type Span = ReturnType<InMemoryTelemetry['spans']>[number]

/** Options of `createTestTasks`: those of `createTasks`, and what makes a test repeatable. */
export interface TestTasksOptions extends Omit<TasksOptions, 'tracerProvider' | 'meterProvider'> {
  /** `true`: Node's own time instead of a controlled clock. Default false. */
  realTime?: boolean
  /** In place of Math.random, for backoffs: a number from 0 up to, not including, 1. Default 0.5. */
  random?: () => number
}

/** A histogram's series, added up. Durations in seconds. */
export interface HistogramValue {
  readonly count: number
  readonly sum: number
}

const quiet = { info() {}, warn() {}, error() {} }

/** Tasks whose telemetry stays in memory and whose time a test controls. */
export class TestTasks extends Tasks {
  /** Stands still until `advance` is called. With `realTime` it has no effect. */
  readonly clock: ControlledClock
  readonly #telemetry: InMemoryTelemetry
  readonly #realTime: boolean

  constructor(
    { realTime = false, random = () => 0.5, ...options }: TestTasksOptions = {},
    internals: BrakeInternals = {},
  ) {
    const telemetry = createInMemoryTelemetry()
    const { tracerProvider, meterProvider } = telemetry
    const clock = new ControlledClock()
    super(
      { shutdown: false, logger: quiet, ...options, tracerProvider, meterProvider },
      { profiler: profileAsked, ...internals, clock: realTime ? systemClock : clock, random },
    )
    this.clock = clock
    this.#telemetry = telemetry
    this.#realTime = realTime
  }

  /**
   * Resolves when every deferral has its outcome. Where nothing runs and only time stands in the way (a delay, a backoff),
   * it moves the controlled clock; it does not while a handler runs, so no timeout fires by itself.
   */
  async settled(): Promise<void> {
    while (true) {
      await this.clock.turn()
      const { states } = this.ledger()
      if (Object.values(states).every((count) => count === 0)) return
      // What is ready while nothing holds a slot gathers for a batch.
      const gathering = this.snapshot().concurrency.used === 0
      const onlyTime = states.running + states.held === 0 && (states.ready === 0 || gathering)
      if (onlyTime && !this.#realTime) await this.clock.advanceToNext()
    }
  }

  /** The spans that have ended, in that order; with a name, only those of that name. */
  spans(name?: string): Span[] {
    const spans = this.#telemetry.spans()
    return name === undefined ? spans : spans.filter((span) => span.name === name)
  }

  /**
   * The sum of a counter's or gauge's series that have these attributes, and maybe others; of a histogram the count.
   * `undefined` when there is no such series.
   *
   * @param name The OpenTelemetry name, such as `afterspan.task.finished`.
   */
  async metric(name: string, attributes: Attributes = {}): Promise<number | undefined> {
    const values = await this.#values(name, attributes)
    if (values.length === 0) return undefined
    return values.reduce<number>((sum, value) => sum + (typeof value === 'number' ? value : value.count), 0)
  }

  /** The sum of a histogram's series that have these attributes, and maybe others. */
  async histogram(name: string, attributes: Attributes = {}): Promise<HistogramValue> {
    let count = 0
    let sum = 0
    for (const value of await this.#values(name, attributes)) {
      if (typeof value === 'number') continue
      count += value.count
      sum += value.sum ?? 0
    }
    return { count, sum }
  }

  async #values(
    name: string,
    attributes: Attributes,
  ): Promise<(number | { count: number; sum?: number | undefined })[]> {
    const { scopeMetrics } = await this.#telemetry.collect()
    const wanted = Object.entries(attributes)
    const found: (number | { count: number; sum?: number | undefined })[] = []
    for (const metric of scopeMetrics.flatMap(({ metrics }) => metrics)) {
      if (metric.descriptor.name !== name) continue
      for (const point of metric.dataPoints) {
        if (!wanted.every(([key, value]) => point.attributes[key] === value)) continue
        found.push(point.value as number | { count: number; sum?: number })
      }
    }
    return found
  }
}

/**
 * Tasks for tests: telemetry in memory, a clock that the test moves, no signal handlers, no log.
 *
 * @throws AfterspanError ERR_AFTERSPAN_MISSING_PEER when `@opentelemetry/sdk-node` is not installed.
 */
export function createTestTasks(options?: TestTasksOptions): TestTasks {
  return new TestTasks(options)
}
