import { diag } from '@opentelemetry/api'
import { SCOPE } from '../telemetry/catalogue.ts'
import type { ExemplarStore, HistogramSeries } from '../telemetry/exemplars.ts'
import {
  addBuckets,
  type Buckets,
  type ExplicitHistogram,
  type ExponentialHistogram,
  explicitBuckets,
  exponentialBuckets,
} from './buckets.ts'
import { labelsOf } from './labels.ts'
import { familyName, type InstrumentKind } from './names.ts'

export type ResourceMetrics = Awaited<
  ReturnType<import('@opentelemetry/exporter-prometheus').PrometheusExporter['collect']>
>['resourceMetrics']
type ScopeMetrics = ResourceMetrics['scopeMetrics'][number]
type Scope = ScopeMetrics['scope']
type MetricData = ScopeMetrics['metrics'][number]
type Point = MetricData['dataPoints'][number]

export type FamilyKind = 'counter' | 'gauge' | 'histogram'

export interface Series {
  /** Rendered: `a="1",b="2"`. */
  readonly labels: string
  readonly value: number | Buckets
  readonly exemplars: HistogramSeries | undefined
}

/** All series of one name in Prometheus. */
export interface Family {
  readonly name: string
  readonly kind: FamilyKind
  readonly unit: string
  readonly help: string
  /** By labels: a series is written once. */
  readonly series: Map<string, Series>
}

/** A metric with what it is called in Prometheus. */
interface Named {
  readonly scope: Scope
  readonly metric: MetricData
  readonly instrument: InstrumentKind
  readonly name: string
  readonly unit: string
}

// The values of DataPointType in @opentelemetry/sdk-metrics, which is imported for its types alone.
const HISTOGRAM = 0
const EXPONENTIAL_HISTOGRAM = 1
const GAUGE = 2

/** Metrics that were left out and said so: once in a process, not once a scrape. */
const told = new Set<string>()

/**
 * What was collected, as Prometheus' families. Two metrics whose names become one share a family if they are of one kind;
 * two series whose labels become one are added up, and of two gauges the later stays.
 */
export function familiesOf({ resource, scopeMetrics }: ResourceMetrics, store: ExemplarStore): Family[] {
  const families = new Map<string, Family>()
  /** Which family bears a sample's name: no other may. */
  const owners = new Map<string, Family>()
  const target = labelsOf(resource.attributes)
  if (target !== '') {
    const series = new Map([[target, { labels: target, value: 1, exemplars: undefined }]])
    const family: Family = { name: 'target_info', kind: 'gauge', unit: '', help: 'Target metadata', series }
    families.set(family.name, family)
    owners.set(family.name, family)
  }
  const metrics = scopeMetrics.flatMap(({ scope, metrics }) => metrics.map((metric) => named(scope, metric)))
  const scopes = scopesByName(metrics)
  for (const { scope, metric, instrument, name, unit } of metrics) {
    const kind = instrument === 'updown' ? 'gauge' : instrument
    const help = asText(metric.descriptor.description)
    const family = families.get(name) ?? { name, unit, kind, help, series: new Map() }
    // Prometheus takes one type for a name; the first stays, as in its own clients.
    if (family.kind !== kind || sampleNames(family).some((sample) => (owners.get(sample) ?? family) !== family)) {
      tellOnce(
        `metric ${asText(metric.descriptor.name)} of ${asText(scope.name)}: ${name} is a metric of another kind already`,
      )
      continue
    }
    families.set(name, family)
    for (const sample of sampleNames(family)) owners.set(sample, family)
    const scopeLabels = labelsOfScope(scope, scopes.get(name)!)
    for (const point of metric.dataPoints) {
      try {
        addPoint(family, metric, point, scopeLabels, scope.name === SCOPE ? store : undefined)
      } catch {
        tellOnce(
          `a series of metric ${asText(metric.descriptor.name)} of ${asText(scope.name)}: its attributes cannot be read`,
        )
      }
    }
  }
  return [...families.values()].filter(({ series }) => series.size > 0)
}

function addPoint(
  family: Family,
  metric: MetricData,
  point: Point,
  scopeLabels: Readonly<Record<string, string>>,
  store: ExemplarStore | undefined,
): void {
  const value = measured(metric, point)
  // No Prometheus counter; a single NaN given to add() would otherwise make OpenMetrics' parsers refuse the whole text.
  if (family.kind === 'counter' && !((value as number) >= 0)) {
    tellOnce(`a series of counter ${asText(metric.descriptor.name)}: its value is negative or no number`)
    return
  }
  const labels = labelsOf(point.attributes, scopeLabels, family.kind === 'histogram' ? ['le'] : [])
  const before = family.series.get(labels)
  const exemplars = family.kind === 'histogram' ? store?.find(metric.descriptor.name, point.attributes) : undefined
  family.series.set(labels, {
    labels,
    value: before === undefined ? value : joined(metric, before.value, value),
    exemplars: exemplars ?? before?.exemplars,
  })
}

function joined(metric: MetricData, before: number | Buckets, value: number | Buckets): number | Buckets {
  if (typeof before === 'object' && typeof value === 'object') return addBuckets(before, value)
  return metric.dataPointType === GAUGE ? value : (before as number) + (value as number)
}

function named(scope: Scope, metric: MetricData): Named {
  const instrument = instrumentOf(metric)
  const { name, unit } = metric.descriptor
  return { scope, metric, instrument, ...familyName(asText(name), asText(unit), instrument) }
}

/** The SDK passes on what an app in plain JavaScript gave as a name, a unit or a description. */
function asText(value: unknown): string {
  if (typeof value === 'string') return value
  return value === null || value === undefined || typeof value === 'object' ? '' : String(value)
}

function instrumentOf(metric: MetricData): InstrumentKind {
  if (metric.dataPointType === HISTOGRAM || metric.dataPointType === EXPONENTIAL_HISTOGRAM) return 'histogram'
  if (metric.dataPointType === GAUGE) return 'gauge'
  return metric.isMonotonic ? 'counter' : 'updown'
}

function scopesByName(metrics: readonly Named[]): Map<string, Set<Scope>> {
  const scopes = new Map<string, Set<Scope>>()
  for (const { name, scope } of metrics) scopes.set(name, (scopes.get(name) ?? new Set()).add(scope))
  return scopes
}

/** Of two libraries, or two versions of one, that have a metric of one name each needs its own series. */
function labelsOfScope({ name, version = '' }: Scope, all: ReadonlySet<Scope>): Record<string, string> {
  if (all.size === 1) return {}
  const versions = new Set([...all].filter((scope) => scope.name === name).map((scope) => scope.version))
  return { otel_scope_name: name, ...(versions.size > 1 && { otel_scope_version: version }) }
}

function sampleNames({ name, kind }: Family): string[] {
  if (kind === 'counter') return [name, `${name}_total`, `${name}_created`]
  if (kind === 'histogram') return [name, `${name}_bucket`, `${name}_sum`, `${name}_count`, `${name}_created`]
  return [name]
}

function measured(metric: MetricData, point: Point): number | Buckets {
  if (metric.dataPointType === HISTOGRAM) return explicitBuckets(point.value as ExplicitHistogram)
  if (metric.dataPointType === EXPONENTIAL_HISTOGRAM) return exponentialBuckets(point.value as ExponentialHistogram)
  return Number(point.value)
}

function tellOnce(what: string): void {
  if (told.has(what) || told.size >= 1_000) return
  told.add(what)
  diag.warn(`afterspan: left out of the metrics: ${what}`)
}
