import type { Attributes } from '@opentelemetry/api'
import { SCOPE } from '../telemetry/catalogue.ts'
import type { ExemplarStore, HistogramSeries } from '../telemetry/exemplars.ts'
import { familyName, labelName } from './names.ts'

export type ResourceMetrics = Awaited<
  ReturnType<import('@opentelemetry/exporter-prometheus').PrometheusExporter['collect']>
>['resourceMetrics']
type MetricData = ResourceMetrics['scopeMetrics'][number]['metrics'][number]

export type FamilyKind = 'counter' | 'gauge' | 'histogram'

/** A histogram's buckets, cumulative. */
export interface Buckets {
  /** The last upper bound is Infinity, whose count is that of all. */
  readonly bounds: readonly number[]
  readonly counts: readonly number[]
  /** undefined where the measurements may be negative. */
  readonly sum: number | undefined
}

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

// The values of DataPointType in @opentelemetry/sdk-metrics, which is imported for its types alone.
const HISTOGRAM = 0
const EXPONENTIAL_HISTOGRAM = 1
const SUM = 3

/** What was collected, as Prometheus' families. Two metrics whose names become one share a family if they are of one kind. */
export function familiesOf({ resource, scopeMetrics }: ResourceMetrics, store: ExemplarStore): Family[] {
  const families = new Map<string, Family>()
  /** Which family bears a sample's name: no other may. */
  const owners = new Map<string, Family>()
  const scopesOf = new Map<string, Set<string>>()
  for (const { scope, metrics } of scopeMetrics) {
    for (const { descriptor } of metrics) {
      const scopes = scopesOf.get(descriptor.name) ?? new Set()
      scopesOf.set(descriptor.name, scopes.add(scope.name))
    }
  }
  const target = labelsOf(resource.attributes, '')
  if (target !== '') {
    const series = new Map([[target, { labels: target, value: 1, exemplars: undefined }]])
    families.set('target_info', { name: 'target_info', kind: 'gauge', unit: '', help: 'Target metadata', series })
  }
  for (const { scope, metrics } of scopeMetrics) {
    for (const metric of metrics) {
      const { name, unit, description } = metric.descriptor
      const kind = kindOf(metric)
      const named = familyName(name, unit, kind)
      const family = families.get(named.name) ?? { ...named, kind, help: description, series: new Map() }
      // Prometheus takes one type for a name; the first stays, as in its own clients.
      if (family.kind !== kind || sampleNames(family).some((sample) => (owners.get(sample) ?? family) !== family))
        continue
      families.set(named.name, family)
      for (const sample of sampleNames(family)) owners.set(sample, family)
      // Of two libraries with a metric of one name each needs its own series.
      const scopeName = scopesOf.get(name)!.size > 1 ? scope.name : ''
      for (const point of metric.dataPoints) {
        const labels = labelsOf(point.attributes, scopeName)
        const exemplars = scope.name === SCOPE && kind === 'histogram' ? store.find(name, point.attributes) : undefined
        family.series.set(labels, { labels, value: measured(metric, point), exemplars })
      }
    }
  }
  return [...families.values()].filter(({ series }) => series.size > 0)
}

function sampleNames({ name, kind }: Family): string[] {
  if (kind === 'counter') return [name, `${name}_total`, `${name}_created`]
  if (kind === 'histogram') return [name, `${name}_bucket`, `${name}_sum`, `${name}_count`, `${name}_created`]
  return [name]
}

function kindOf(metric: MetricData): FamilyKind {
  if (metric.dataPointType === HISTOGRAM || metric.dataPointType === EXPONENTIAL_HISTOGRAM) return 'histogram'
  return metric.dataPointType === SUM && metric.isMonotonic ? 'counter' : 'gauge'
}

function measured(metric: MetricData, point: MetricData['dataPoints'][number]): number | Buckets {
  if (metric.dataPointType === HISTOGRAM) return explicitBuckets(point.value as ExplicitHistogram)
  if (metric.dataPointType === EXPONENTIAL_HISTOGRAM) return exponentialBuckets(point.value as ExponentialHistogram)
  return point.value as number
}

interface ExplicitHistogram {
  readonly buckets: { readonly boundaries: readonly number[]; readonly counts: readonly number[] }
  readonly sum?: number | undefined
}

function explicitBuckets({ buckets, sum }: ExplicitHistogram): Buckets {
  return { bounds: [...buckets.boundaries, Number.POSITIVE_INFINITY], counts: cumulative(buckets.counts), sum }
}

interface ExponentialHistogram {
  readonly scale: number
  readonly count: number
  readonly zeroCount: number
  readonly sum?: number | undefined
  readonly positive: { readonly offset: number; readonly bucketCounts: readonly number[] }
  readonly negative: { readonly offset: number; readonly bucketCounts: readonly number[] }
}

/**
 * An exponential histogram with its bounds written out: the text formats know no exponential ones. The bucket of index i
 * ends at 2^((i + 1) / 2^scale) (OpenTelemetry data model, "ExponentialHistogram").
 */
function exponentialBuckets({ scale, count, zeroCount, sum, positive, negative }: ExponentialHistogram): Buckets {
  const bound = (index: number) => 2 ** (index / 2 ** scale)
  const bounds: number[] = []
  const counts: number[] = []
  for (let at = negative.bucketCounts.length - 1; at >= 0; at--) {
    bounds.push(-bound(negative.offset + at))
    counts.push(negative.bucketCounts[at]!)
  }
  bounds.push(0)
  counts.push(zeroCount)
  for (const [at, bucket] of positive.bucketCounts.entries()) {
    bounds.push(bound(positive.offset + at + 1))
    counts.push(bucket)
  }
  const sums = cumulative(counts)
  // Bounds beyond the range of a double coincide; the later count holds for both.
  const kept = bounds.map((_, at) => at).filter((at) => Number.isFinite(bounds[at]) && bounds[at] !== bounds[at + 1])
  return {
    bounds: [...kept.map((at) => bounds[at]!), Number.POSITIVE_INFINITY],
    counts: [...kept.map((at) => sums[at]!), count],
    sum,
  }
}

function cumulative(counts: readonly number[]): number[] {
  let total = 0
  return counts.map((count) => {
    total += count
    return total
  })
}

/** Attributes as labels. Where two become one label their values are joined, as the specification has it. */
function labelsOf(attributes: Attributes, scope: string): string {
  const labels = new Map<string, string>()
  for (const key of Object.keys(attributes).sort()) {
    const value = text(attributes[key])
    if (value === '') continue
    const label = labelName(key)
    const before = labels.get(label)
    labels.set(label, before === undefined ? value : `${before};${value}`)
  }
  if (scope !== '') labels.set('otel_scope_name', scope)
  return [...labels].map(([label, value]) => `${label}="${escapeLabel(value)}"`).join(',')
}

function text(value: unknown): string {
  if (typeof value === 'string') return value
  try {
    return typeof value === 'object' ? (JSON.stringify(value) ?? '') : String(value ?? '')
  } catch {
    return ''
  }
}

/** A label's value in quotes: `\`, `"` and line feeds are the three that both formats escape. */
export function escapeLabel(value: string): string {
  return value.toWellFormed().replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}
