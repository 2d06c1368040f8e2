/** Relative accuracy of a quantile: 1 %. */
const ACCURACY = 0.01
const GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
const LOG_GAMMA = Math.log(GAMMA)
/** Smaller values count as this, seconds: 1 µs. */
const SMALLEST = 1e-6
/** Larger values count as this, seconds: 11.6 days. */
const LARGEST = 1e6
const LOWEST_BUCKET = Math.ceil(Math.log(SMALLEST) / LOG_GAMMA)
const BUCKETS = Math.ceil(Math.log(LARGEST) / LOG_GAMMA) - LOWEST_BUCKET + 1

/** A summary of a distribution of durations, in seconds; `null` where nothing was measured. */
export interface Distribution {
  readonly count: number
  readonly mean: number | null
  readonly p50: number | null
  readonly p95: number | null
  readonly p99: number | null
  readonly max: number | null
}

/**
 * Durations in constant memory (about 11 KB once used), with quantiles within 1 % of the true ones: a DDSketch (Masson, Rim, Lee,
 * "DDSketch: A fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019) whose range is fixed.
 */
export class Sketch {
  #counts: Float64Array | undefined
  #count = 0
  #sum = 0
  #max = 0

  /** @param seconds 0 or more. */
  record(seconds: number): void {
    this.#counts ??= new Float64Array(BUCKETS)
    const value = Math.min(Math.max(seconds, SMALLEST), LARGEST)
    const bucket = Math.ceil(Math.log(value) / LOG_GAMMA) - LOWEST_BUCKET
    this.#counts[Math.min(bucket, BUCKETS - 1)]! += 1
    this.#count++
    this.#sum += seconds
    if (seconds > this.#max) this.#max = seconds
  }

  /** Adds all that the other has recorded. */
  merge(other: Sketch): void {
    if (other.#counts === undefined) return
    this.#counts ??= new Float64Array(BUCKETS)
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#counts[bucket]! += other.#counts[bucket]!
    this.#count += other.#count
    this.#sum += other.#sum
    this.#max = Math.max(this.#max, other.#max)
  }

  /** @param q From 0 to 1. Null when nothing was recorded. */
  quantile(q: number): number | null {
    if (this.#counts === undefined) return null
    const rank = rankOf(q, this.#count)
    let seen = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!
      if (seen >= rank) return Math.min(this.#max, (2 * GAMMA ** (bucket + LOWEST_BUCKET)) / (GAMMA + 1))
    }
    return this.#max
  }

  summary(): Distribution {
    const empty = this.#count === 0
    return {
      count: this.#count,
      mean: empty ? null : this.#sum / this.#count,
      p50: this.quantile(0.5),
      p95: this.quantile(0.95),
      p99: this.quantile(0.99),
      max: empty ? null : this.#max,
    }
  }
}

/**
 * Which of `count` sorted values, from 1, is the quantile: the nearest rank, the smallest value that at least `q` of all do not
 * exceed (Hyndman and Fan 1996, definition 1). So the p99 of two values is the larger one: few values hide nothing.
 *
 * @param q From 0 to 1.
 */
export function rankOf(q: number, count: number): number {
  // 0.07 × 100 is a little more than 7.
  return Math.max(1, Math.ceil(q * count - 1e-9 * count))
}
