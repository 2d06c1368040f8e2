import { METRICS, type MetricKey } from '../../src/telemetry/catalogue.ts'
import { type Parameters, selectorLabels } from './parameters.ts'

/**
 * Series that are not Afterspan's: what Prometheus itself says of its scrapes and alerts, and what
 * `@opentelemetry/instrumentation-runtime-node` and `register` say of the process.
 */
export const FOREIGN = {
  up: { labels: ['job', 'instance'], ofPrometheus: true },
  scrape_duration_seconds: { labels: ['job', 'instance'], ofPrometheus: true },
  scrape_samples_scraped: { labels: ['job', 'instance'], ofPrometheus: true },
  ALERTS: { labels: ['alertname', 'alertstate', 'severity', 'task_name', 'job', 'instance'], ofPrometheus: true },
  nodejs_eventloop_delay_p99_seconds: { labels: [], ofPrometheus: false },
  nodejs_eventloop_utilization_ratio: { labels: [], ofPrometheus: false },
  process_memory_usage_bytes: { labels: [], ofPrometheus: false },
  v8js_memory_heap_used_bytes: { labels: ['v8js_heap_space_name'], ofPrometheus: false },
} as const satisfies Record<string, { labels: readonly string[]; ofPrometheus: boolean }>

export type ForeignName = keyof typeof FOREIGN

export type HistogramKey = {
  [K in MetricKey]: (typeof METRICS)[K]['kind'] extends 'histogram' ? K : never
}[MetricKey]

/** Writes selectors: the only place where a query gets the name of a metric. */
export class Series {
  readonly #parameters: Parameters
  readonly #always: readonly string[]

  /** `always`: matchers of every selector, such as `job=~"$job"`. */
  constructor(parameters: Parameters, always: readonly string[] = []) {
    this.#parameters = parameters
    this.#always = always
  }

  get #prefix(): string {
    return this.#parameters.namespace === '' ? '' : `${this.#parameters.namespace}_`
  }

  /** The same with more matchers. */
  where(...matchers: string[]): Series {
    return new Series(this.#parameters, [...this.#always, ...matchers])
  }

  /** A counter, gauge or up-down counter of the catalogue. */
  of(key: MetricKey, ...matchers: string[]): string {
    return this.#select(`${this.#prefix}${METRICS[key].prometheus}`, matchers)
  }

  /**
   * What the engines hold, as told by processes that they answer. Each tells the same, so take the `max by (task_name)` and
   * never the sum. What a process last said may be there for minutes after its engine fell silent; hence `engineUp`.
   */
  ofEngine(key: 'engineJobs' | 'engineOldest', ...matchers: string[]): string {
    return `(${this.of(key, ...matchers)} and ${this.on('job', 'instance', 'task_name')} ${this.of('engineUp')} == 1)`
  }

  /** Those of an expression that are of tasks which run in their own process, and on no engine. */
  inProcess(expr: string): string {
    return `(${expr} unless ${this.on('job', 'instance', 'task_name')} ${this.of('engineUp')})`
  }

  /** `on (…)` with the labels of the selectors. */
  on(...labels: string[]): string {
    return `on (${withSelectors(this.#parameters, labels)})`
  }

  /** One of a histogram's three series. */
  histogram(key: HistogramKey, part: 'bucket' | 'sum' | 'count', ...matchers: string[]): string {
    return this.#select(`${this.#prefix}${METRICS[key].prometheus}_${part}`, matchers)
  }

  foreign(name: ForeignName, ...matchers: string[]): string {
    return this.#select(FOREIGN[name].ofPrometheus ? name : `${this.#prefix}${name}`, matchers)
  }

  /** A series that a recording rule makes; see `recordedName`. */
  recorded(name: RecordedName, window: Window, ...matchers: string[]): string {
    return this.#select(this.recordedName(name, window), matchers)
  }

  /** `level:metric:operation`, as Prometheus' own guide has it. */
  recordedName(name: RecordedName, window: Window): string {
    const { level, metric, operation } = RECORDED[name]
    return `${level}:${this.#prefix}${metric}:${operation}${window}`
  }

  #select(name: string, matchers: readonly string[]): string {
    const { selectors } = this.#parameters
    const all = [...(selectors === '' ? [] : [selectors]), ...this.#always, ...matchers]
    return all.length === 0 ? name : `${name}{${all.join(',')}}`
  }
}

/** The windows of the burn rates: those of the SRE workbook's multi-window alerts. */
export const WINDOWS = ['5m', '30m', '1h', '6h', '3d'] as const
export type Window = (typeof WINDOWS)[number]

const PER_TASK = 'job_task_name'

/** What the recording rules make. That of tasks for each window; the tax for 5 minutes alone. */
export const RECORDED = {
  /** Tasks per second that failed or were dropped. */
  failures: { level: PER_TASK, metric: 'afterspan_task_failures', operation: 'rate' },
  /** Tasks per second that ended, cancelled and handed-off ones left out: nobody failed those. */
  ends: { level: PER_TASK, metric: 'afterspan_task_ends', operation: 'rate' },
  failureRatio: { level: PER_TASK, metric: 'afterspan_task_failures_per_end', operation: 'ratio_rate' },
  /** Completed tasks per second whose effect came too late. */
  late: { level: PER_TASK, metric: 'afterspan_task_late_effects', operation: 'rate' },
  effects: { level: PER_TASK, metric: 'afterspan_task_effects', operation: 'rate' },
  lateRatio: { level: PER_TASK, metric: 'afterspan_task_late_effects_per_effect', operation: 'ratio_rate' },
  /** By how much the p95 of requests is longer while tasks run, in seconds. */
  tax: { level: 'job', metric: 'afterspan_foreground_tax_seconds', operation: 'p95_rate' },
} as const
export type RecordedName = keyof typeof RECORDED

/**
 * `by (…)` for rules: with the labels of the selectors, so that what the rules make can be chosen by them as well, and so
 * that the same rules for another cluster make other series.
 */
export function by(parameters: Parameters, ...labels: string[]): string {
  return `by (${withSelectors(parameters, labels)})`
}

/** Labels, and those of the selectors. */
export function withSelectors({ selectors }: Parameters, labels: readonly string[]): string {
  return [...new Set([...labels, ...selectorLabels(selectors)])].join(', ')
}

/** Outcomes by which a task has failed whoever asked for it. */
export const BAD = 'task_outcome=~"failed|dropped"'
/** Outcomes that are the task's end: what was handed off ends where the engine has it run, and is counted there. */
export const REAL_END = 'task_outcome!="handed_off"'
/** Outcomes that count for the objective. */
export const ENDED = 'task_outcome=~"completed|failed|dropped"'

/** `le` reads 30.0 from a scrape and 30 from OTLP. */
export function bucketUpTo(seconds: number): string {
  return Number.isInteger(seconds) ? `le=~"${seconds}([.]0)?"` : `le="${seconds}"`
}
