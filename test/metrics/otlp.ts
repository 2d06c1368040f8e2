import type { ExplicitHistogram } from '../../src/metrics/buckets.ts'
import type { ResourceMetrics } from '../../src/metrics/families.ts'

/** What the SDK's OTLP exporter would send. */
export function otlp({ resource, scopeMetrics }: ResourceMetrics): object {
  const value = (value: unknown): object => {
    if (Array.isArray(value)) return { arrayValue: { values: value.map((it) => ({ stringValue: it })) } }
    return typeof value === 'number' ? { doubleValue: value } : { stringValue: value }
  }
  const attributes = (all: object) => Object.entries(all).map(([key, it]) => ({ key, value: value(it) }))
  const timeUnixNano = String(BigInt(Date.now()) * 1_000_000n)
  const metric = ({
    descriptor,
    dataPointType,
    dataPoints,
    ...rest
  }: (typeof scopeMetrics)[number]['metrics'][number]) => {
    const points = dataPoints.map((point) => {
      const base = { timeUnixNano, attributes: attributes(point.attributes) }
      if (typeof point.value === 'number') return { ...base, asDouble: point.value }
      const { buckets, sum, count } = point.value as ExplicitHistogram & { readonly count: number }
      return { ...base, sum, count, explicitBounds: buckets.boundaries, bucketCounts: buckets.counts.map(String) }
    })
    const kind = ['histogram', '', 'gauge', 'sum'][dataPointType]!
    const isMonotonic = 'isMonotonic' in rest && rest.isMonotonic
    const cumulative = kind === 'gauge' ? {} : { aggregationTemporality: 2, ...(kind === 'sum' && { isMonotonic }) }
    return { name: descriptor.name, unit: descriptor.unit, [kind]: { dataPoints: points, ...cumulative } }
  }
  return {
    resourceMetrics: [
      {
        resource: { attributes: attributes(resource.attributes) },
        scopeMetrics: scopeMetrics.map(({ scope, metrics }) => ({
          scope: { name: scope.name },
          metrics: metrics.map(metric),
        })),
      },
    ],
  }
}
