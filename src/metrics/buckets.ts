/** A histogram's buckets, cumulative. */
export interface Buckets {
  /** Ascending; the last upper bound is Infinity, whose count is that of all. */
  readonly bounds: readonly number[]
  readonly counts: readonly number[]
  /** undefined where the SDK keeps none. */
  readonly sum: number | undefined
}

export interface ExplicitHistogram {
  readonly buckets: { readonly boundaries: readonly number[]; readonly counts: readonly number[] }
  readonly sum?: number | undefined
}

/** The SDK takes any list of bounds, with one twice or NaN among them; each is written once, with all that lies below it. */
export function explicitBuckets({ buckets, sum }: ExplicitHistogram): Buckets {
  const counts = cumulative(buckets.counts)
  return distinct([...buckets.boundaries, Number.POSITIVE_INFINITY], counts, sum)
}

export interface ExponentialHistogram {
  readonly scale: number
  readonly count: number
  readonly zeroCount: number
  readonly sum?: number | undefined
  readonly positive: { readonly offset: number; readonly bucketCounts: readonly number[] }
  readonly negative: { readonly offset: number; readonly bucketCounts: readonly number[] }
}

/**
 * An exponential histogram with its bounds written out: the text formats know no exponential ones. The bucket of index i
 * ends at 2^((i + 1) / 2^scale) (OpenTelemetry data model, "ExponentialHistogram"). The bounds move whenever the SDK
 * rescales, so that a quantile over such a moment is an estimate.
 */
export function exponentialBuckets(histogram: ExponentialHistogram): Buckets {
  const { scale, count, zeroCount, sum, positive, negative } = histogram
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
  // Bounds beyond the range of a double coincide.
  return distinct([...bounds, Number.POSITIVE_INFINITY], [...cumulative(counts), count], sum)
}

/** Of bounds that are equal the last stays: its count holds for all of them. The last of all is Infinity. */
function distinct(bounds: readonly number[], counts: readonly number[], sum: number | undefined): Buckets {
  if (areDistinct(bounds)) return { bounds, counts, sum }
  const last = bounds.length - 1
  const kept = [...bounds.keys()].filter(
    (at) => at === last || (Number.isFinite(bounds[at]) && bounds[at] !== bounds[at + 1]),
  )
  return { bounds: kept.map((at) => bounds[at]!), counts: kept.map((at) => counts[at]!), sum }
}

/** Nearly all are, and a large scrape has thousands. */
function areDistinct(bounds: readonly number[]): boolean {
  for (let at = 0; at < bounds.length - 1; at++) {
    // NaN is below nothing.
    if (!(bounds[at]! > Number.NEGATIVE_INFINITY && bounds[at]! < bounds[at + 1]!)) return false
  }
  return true
}

/** Two histograms as one, on the bounds that both have: a cumulative count at a common bound is exact. */
export function addBuckets(a: Buckets, b: Buckets): Buckets {
  const common = a.bounds.filter((bound) => b.bounds.includes(bound))
  const countAt = ({ bounds, counts }: Buckets, bound: number) => counts[bounds.indexOf(bound)]!
  return {
    bounds: common,
    counts: common.map((bound) => countAt(a, bound) + countAt(b, bound)),
    sum: a.sum === undefined || b.sum === undefined ? undefined : a.sum + b.sum,
  }
}

function cumulative(counts: readonly number[]): number[] {
  let total = 0
  return counts.map((count) => {
    total += count
    return total
  })
}
