import type { Attributes, SpanContext } from '@opentelemetry/api'
import { TraceFlags } from '@opentelemetry/api'
import { SECONDS_BUCKETS } from './catalogue.ts'

/** One measurement and the span in which it was made: what makes a bucket of a histogram clickable. */
export interface Exemplar {
  /** In the histogram's unit. */
  readonly value: number
  readonly traceId: string
  readonly spanId: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * The attribute set of one histogram series with its latest exemplar per bucket. The OpenTelemetry SDK for JavaScript
 * keeps no exemplars, so they are kept here, and `afterspan/metrics` writes them beside the SDK's buckets.
 */
export class HistogramSeries {
  readonly attributes: Attributes
  readonly #latest: (Mutable<Exemplar> | undefined)[] = []

  constructor(attributes: Attributes) {
    this.attributes = Object.freeze(attributes)
  }

  /** Keeps the span of a measurement as its bucket's exemplar; spans that are not sampled cannot be opened and are not kept. */
  note(value: number, span: SpanContext): void {
    if ((span.traceFlags & TraceFlags.SAMPLED) === 0) return
    let bucket = 0
    while (bucket < SECONDS_BUCKETS.length && value > SECONDS_BUCKETS[bucket]!) bucket++
    const { traceId, spanId } = span
    const kept = this.#latest[bucket]
    if (kept === undefined) this.#latest[bucket] = { value, traceId, spanId, at: Date.now() }
    else {
      // In place: one more object per measurement would show in the cost of a task.
      kept.value = value
      kept.traceId = traceId
      kept.spanId = spanId
      kept.at = Date.now()
    }
  }

  /** The latest exemplar with `above < value <= upTo`; the bounds are those of the bucket that is written, which a view may have changed. */
  within(above: number, upTo: number): Exemplar | undefined {
    let found: Exemplar | undefined
    for (const exemplar of this.#latest) {
      if (exemplar === undefined || exemplar.value <= above || exemplar.value > upTo) continue
      if (found === undefined || exemplar.at >= found.at) found = exemplar
    }
    return found
  }
}

/** All histogram series that have exemplars, by metric and attributes. */
export class ExemplarStore {
  readonly #series = new Map<string, HistogramSeries>()

  /** The series of a metric (its OpenTelemetry name) with these attributes, made when it is new. */
  series(metric: string, attributes: Attributes): HistogramSeries {
    const key = keyOf(metric, attributes)
    let series = this.#series.get(key)
    if (series === undefined) {
      series = new HistogramSeries(attributes)
      this.#series.set(key, series)
    }
    return series
  }

  find(metric: string, attributes: Attributes): HistogramSeries | undefined {
    return this.#series.get(keyOf(metric, attributes))
  }
}

function keyOf(metric: string, attributes: Attributes): string {
  const entries = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([metric, entries])
}

/** The exemplars of every `createTasks` in this process. */
export const exemplars = new ExemplarStore()
