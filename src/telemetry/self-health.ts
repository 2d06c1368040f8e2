import { METRICS } from './catalogue.ts'

/** Reasons in `afterspan.telemetry.*`; each exists as a series at 0 from the start. */
export const REASONS = {
  /** `queue_full`: more spans at once than the processor holds · `export_failed`: the collector did not take them ·
   *  `shutdown`: still unsent when the time for shutting down was over. */
  lost: ['queue_full', 'export_failed', 'shutdown'],
  capped: ['task_names', 'routes', 'error_types', 'span_names'],
  /** `span`, `metric`: the OpenTelemetry SDK threw · `listener`: one of `tasks.on` · `retry_if`, `group_by`, `logger` ·
   *  `engine`: an engine gave an error outside a send, or could not be told how an attempt ended · `profiler`: it could not
   *  sample, or write a profile · `authorize`: that of `dashboard` threw. */
  caught: ['span', 'metric', 'listener', 'retry_if', 'group_by', 'logger', 'engine', 'profiler', 'authorize'],
  /** Whole traces, where `TailSamplingProcessor` is used: kept because of an `error`, as `slow`, `retried` or `asked` for, or as
   *  one of the `share`; let go as one of the `rest`, or `evicted` for want of room before it was over. */
  sampled: ['error', 'slow', 'retried', 'asked', 'share', 'rest', 'evicted'],
} as const

export type LossReason = (typeof REASONS.lost)[number]
export type CapReason = (typeof REASONS.capped)[number]
export type CaughtReason = (typeof REASONS.caught)[number]
export type SampledReason = (typeof REASONS.sampled)[number]

type HealthKey = 'telemetryLost' | 'telemetryCapped' | 'telemetryCaught' | 'telemetrySampled'

/** What the kit itself lost, capped or caught, counted for the whole process. */
export class SelfHealth {
  readonly #counts = new Map<string, { metric: HealthKey; reason: string; count: number }>()

  constructor() {
    for (const reason of REASONS.lost) this.#counts.set(`lost ${reason}`, { metric: 'telemetryLost', reason, count: 0 })
    for (const reason of REASONS.capped)
      this.#counts.set(`capped ${reason}`, { metric: 'telemetryCapped', reason, count: 0 })
    for (const reason of REASONS.caught)
      this.#counts.set(`caught ${reason}`, { metric: 'telemetryCaught', reason, count: 0 })
    for (const reason of REASONS.sampled)
      this.#counts.set(`sampled ${reason}`, { metric: 'telemetrySampled', reason, count: 0 })
  }

  lost(reason: LossReason, spans = 1): void {
    this.#counts.get(`lost ${reason}`)!.count += spans
  }

  capped(reason: CapReason): void {
    this.#counts.get(`capped ${reason}`)!.count += 1
  }

  caught(reason: CaughtReason): void {
    this.#counts.get(`caught ${reason}`)!.count += 1
  }

  sampled(reason: SampledReason): void {
    this.#counts.get(`sampled ${reason}`)!.count += 1
  }

  /** All counts: the metric's key in the catalogue, the reason, the count. */
  *entries(): IterableIterator<{
    metric: HealthKey
    reason: string
    count: number
  }> {
    yield* this.#counts.values()
  }

  /** The count of one metric and reason, by the metric's OpenTelemetry name. */
  count(name: string, reason: string): number {
    for (const entry of this.#counts.values()) {
      if (METRICS[entry.metric].name === name && entry.reason === reason) return entry.count
    }
    return 0
  }
}

export const selfHealth = new SelfHealth()
