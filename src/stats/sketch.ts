import { LogBuckets } from './log-buckets.ts'

/** Relative accuracy of a quantile: 1 %. */
const BUCKETS = new LogBuckets(0.01)

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
 * Durations in constant memory (about 11 KB once used), with quantiles within 1 % of the true ones: a DDSketch; see `LogBuckets`.
 */
export class Sketch {
  #counts: Float64Array | undefined
  #count = 0
  #sum = 0
  #max = 0

  /** @param seconds 0 or more. */
  record(seconds: number): void {
    this.#counts ??= new Float64Array(BUCKETS.length)
    this.#counts[BUCKETS.of(seconds)]! += 1
    this.#count++
    this.#sum += seconds
    if (seconds > this.#max) this.#max = seconds
  }

  /** Adds all that the other has recorded. */
  merge(other: Sketch): void {
    if (other.#counts === undefined) return
    this.#counts ??= new Float64Array(BUCKETS.length)
    for (let bucket = 0; bucket < BUCKETS.length; bucket++) this.#counts[bucket]! += other.#counts[bucket]!
    this.#count += other.#count
    this.#sum += other.#sum
    this.#max = Math.max(this.#max, other.#max)
  }

  /** @param q From 0 to 1. Null when nothing was recorded. */
  quantile(q: number): number | null {
    if (this.#counts === undefined) return null
    return BUCKETS.quantile(q, this.#count, this.#counts, 0, BUCKETS.length - 1, this.#max)
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
