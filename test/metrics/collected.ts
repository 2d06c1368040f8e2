import type { ResourceMetrics } from '../../src/metrics/families.ts'

/** A metric as a reader of the SDK would have collected it. */
export interface Metric {
  readonly name: string
  readonly unit?: string
  readonly description?: string
  readonly type: keyof typeof TYPES
  /** Of a sum. */
  readonly monotonic?: boolean
  readonly points: readonly { readonly attributes: Record<string, unknown>; readonly value: unknown }[]
}

// The values of DataPointType in @opentelemetry/sdk-metrics.
const TYPES = { histogram: 0, exponential: 1, gauge: 2, sum: 3 } as const

export function collected(
  ...scopes: readonly { scope: string; version?: string; metrics: readonly Metric[] }[]
): ResourceMetrics {
  return {
    resource: { attributes: { 'service.name': 'shop', 'service.instance.id': 'a"b\n' } },
    scopeMetrics: scopes.map(({ scope, version, metrics }) => ({
      scope: { name: scope, version },
      metrics: metrics.map(({ name, unit = '', description = '', type, monotonic = false, points }) => ({
        descriptor: { name, unit, description },
        dataPointType: TYPES[type],
        isMonotonic: monotonic,
        dataPoints: points,
      })),
    })),
  } as unknown as ResourceMetrics
}

/** `counts` has one entry more than `boundaries`, and is not cumulative. */
export function explicit(boundaries: readonly number[], counts: readonly number[], sum: number): object {
  return { buckets: { boundaries, counts }, sum, count: total(counts) }
}

export function exponential(parts: {
  scale: number
  offset: number
  counts: readonly number[]
  negative?: readonly number[]
  zeros: number
  sum: number
}): object {
  const { scale, offset, counts, negative = [], zeros, sum } = parts
  return {
    scale,
    zeroCount: zeros,
    sum,
    count: total(counts) + total(negative) + zeros,
    positive: { offset, bucketCounts: counts },
    negative: { offset: 0, bucketCounts: negative },
  }
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}
