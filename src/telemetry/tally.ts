import type { Attributes } from '@opentelemetry/api'
import {
  OUTCOMES,
  type Outcome,
  PRIORITIES,
  type Priority,
  RESULTS,
  type Result,
  STATES,
  type State,
} from '../model/words.ts'
import { METRICS } from './catalogue.ts'
import { exemplars, type HistogramSeries } from './exemplars.ts'

/** One series of a counter or gauge, whose value is read when the metrics are collected. */
interface Series {
  readonly attributes: Attributes
  value: number
}

const series = (attributes: Attributes): Series => ({ attributes: Object.freeze(attributes), value: 0 })

/** What is taken from an engine. */
interface EngineTally {
  readonly taken: Series
  readonly returned: Series
  readonly redelivered: Series
  readonly lost: Series
}

/**
 * The counts of one task, from 0 on, so that the first failure is an increase. OpenTelemetry reads them when it collects:
 * counting costs an addition, and what is collected balances, since nothing can happen in between.
 */
export class TaskTally {
  readonly deferred: Series
  readonly finished: Readonly<Record<Outcome, Series>>
  readonly pending: Readonly<Record<State, Series>>
  readonly zombies: Series
  readonly deduplicated: Series
  readonly retriesRefused: Series
  /** Only of tasks that run on an engine. */
  engine: EngineTally | undefined
  /** Seconds; only of tasks whose CPU time is known. */
  cpu: Series | undefined
  readonly #name: string
  readonly #heapExact: Attributes
  readonly #heapEstimated: Attributes
  readonly #attempts = new Map<string, Series>()
  readonly #wait: Readonly<Record<Priority, HistogramSeries>>
  readonly #duration: Readonly<Record<Result, HistogramSeries>>
  readonly #effect = each(OUTCOMES, () => new Map<string | undefined, HistogramSeries>())

  constructor(name: string) {
    this.#name = name
    const task = { 'task.name': name }
    this.deferred = series({ ...task })
    this.finished = each(OUTCOMES, (outcome) => series({ ...task, 'task.outcome': outcome }))
    this.pending = each(STATES, (state) => series({ ...task, 'task.state': state }))
    this.zombies = series({ ...task })
    this.deduplicated = series({ ...task })
    this.retriesRefused = series({ ...task })
    this.#heapExact = Object.freeze({ ...task, 'task.heap.estimated': false })
    this.#heapEstimated = Object.freeze({ ...task, 'task.heap.estimated': true })
    this.#wait = each(PRIORITIES, (priority) =>
      exemplars.series(METRICS.wait.name, { ...task, 'task.priority': priority }),
    )
    this.#duration = each(RESULTS, (result) =>
      exemplars.series(METRICS.duration.name, { ...task, 'task.result': result }),
    )
    // The error types that are most likely to come first, so that they are increases too.
    for (const [result, type] of [['ok'], ['error', 'Error'], ['timeout', 'TimeoutError'], ['cancelled']] as const) {
      this.attempts(result, type)
    }
  }

  /** It runs on an engine: what is taken from it counts from 0. */
  useEngine(): EngineTally {
    const task = { 'task.name': this.#name }
    this.engine ??= {
      taken: series({ ...task }),
      returned: series({ ...task }),
      redelivered: series({ ...task }),
      lost: series({ ...task }),
    }
    return this.engine
  }

  useCpu(seconds: number): void {
    this.cpu ??= series({ 'task.name': this.#name })
    this.cpu.value += seconds
  }

  /** Attributes of its heap histogram: whether what is recorded is an estimate. */
  heap(estimated: boolean): Attributes {
    return estimated ? this.#heapEstimated : this.#heapExact
  }

  attempts(result: Result, errorType: string | undefined): Series {
    const key = errorType === undefined ? result : `${result} ${errorType}`
    let found = this.#attempts.get(key)
    if (found === undefined) {
      const attributes: Attributes = { 'task.name': this.#name, 'task.result': result }
      if (errorType !== undefined) attributes['error.type'] = errorType
      found = series(attributes)
      this.#attempts.set(key, found)
    }
    return found
  }

  allAttempts(): IterableIterator<Series> {
    return this.#attempts.values()
  }

  wait(priority: Priority): HistogramSeries {
    return this.#wait[priority]
  }

  duration(result: Result): HistogramSeries {
    return this.#duration[result]
  }

  effect(outcome: Outcome, route: string | undefined): HistogramSeries {
    const byRoute = this.#effect[outcome]
    let found = byRoute.get(route)
    if (found === undefined) {
      const attributes: Attributes = { 'task.name': this.#name, 'task.outcome': outcome }
      if (route !== undefined) attributes['http.route'] = route
      found = exemplars.series(METRICS.effect.name, attributes)
      byRoute.set(route, found)
    }
    return found
  }
}

function each<K extends string, V>(keys: readonly K[], make: (key: K) => V): Record<K, V> {
  return Object.fromEntries(keys.map((key) => [key, make(key)])) as Record<K, V>
}
