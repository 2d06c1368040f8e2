import type { Attributes, MeterProvider, SpanContext } from '@opentelemetry/api'
import type { UndeclaredFigures } from '../model/undeclared.ts'
import { METRICS } from './catalogue.ts'
import { exemplars, type HistogramSeries } from './exemplars.ts'
import { MetricRegistry } from './metric-registry.ts'
import { CappedNames } from './names.ts'
import { selfHealth } from './self-health.ts'

interface Entry {
  readonly route: string | undefined
  readonly span: string
  readonly series: HistogramSeries
  count: number
  total: number
  max: number
  traceId: string
}

/** How many kinds are kept apart; the rest is `_other`. */
const KINDS = 200

/** The work that the app does after its responses and nobody declared, by route and span name; one for the process. */
export class UndeclaredWork {
  readonly #entries = new Map<string, Entry>()
  readonly #routes = new CappedNames(KINDS, 'routes')
  readonly #spans = new CappedNames(KINDS, 'span_names')

  /**
   * Notes that a span went on for so many seconds after the response of its request.
   *
   * @returns Whether it is the first of its kind.
   */
  record(
    route: string | undefined,
    name: string,
    seconds: number,
    span: SpanContext,
    provider?: MeterProvider,
  ): boolean {
    const routeLabel = route === undefined ? undefined : this.#routes.label(route)
    const spanLabel = this.#spans.label(name)
    const key = JSON.stringify([routeLabel, spanLabel])
    let entry = this.#entries.get(key)
    const isNew = entry === undefined
    if (entry === undefined) {
      const attributes: Attributes = { 'span.name': spanLabel }
      if (routeLabel !== undefined) attributes['http.route'] = routeLabel
      const series = exemplars.series(METRICS.undeclared.name, attributes)
      entry = { route: routeLabel, span: spanLabel, series, count: 0, total: 0, max: 0, traceId: span.traceId }
      this.#entries.set(key, entry)
    }
    entry.count++
    entry.total += seconds
    entry.max = Math.max(entry.max, seconds)
    entry.traceId = span.traceId
    try {
      MetricRegistry.for(provider).instruments.undeclared.record(seconds, entry.series.attributes)
      entry.series.note(seconds, span)
    } catch {
      selfHealth.caught('metric')
    }
    return isNew
  }

  /** The most time first. */
  read(): UndeclaredFigures[] {
    return [...this.#entries.values()]
      .map(({ series: _, ...figures }) => figures)
      .sort((one, other) => other.total - one.total)
  }

  /** For tests. */
  clear(): void {
    this.#entries.clear()
  }
}

export const undeclaredWork = new UndeclaredWork()
