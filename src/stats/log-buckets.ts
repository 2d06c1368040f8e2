/** Smaller values count as this, seconds: 1 µs. */
const SMALLEST = 1e-6
/** Larger values count as this, seconds: 11.6 days. */
const LARGEST = 1e6

/**
 * The buckets of a DDSketch (Masson, Rim, Lee, "DDSketch: A fast and fully-mergeable quantile sketch with relative-error
 * guarantees", VLDB 2019) whose range is fixed: each is wider than the one before by the same factor, so that a value and the
 * middle of its bucket differ by `accuracy` at most.
 */
export class LogBuckets {
  readonly length: number
  readonly #gamma: number
  readonly #logGamma: number
  readonly #lowest: number

  /** @param accuracy Relative: 0.01 is 1 %. */
  constructor(accuracy: number) {
    this.#gamma = (1 + accuracy) / (1 - accuracy)
    this.#logGamma = Math.log(this.#gamma)
    this.#lowest = Math.ceil(Math.log(SMALLEST) / this.#logGamma)
    this.length = Math.ceil(Math.log(LARGEST) / this.#logGamma) - this.#lowest + 1
  }

  /** The bucket of a value. @param seconds 0 or more. */
  of(seconds: number): number {
    const value = Math.min(Math.max(seconds, SMALLEST), LARGEST)
    return Math.min(Math.ceil(Math.log(value) / this.#logGamma) - this.#lowest, this.length - 1)
  }

  /** Its upper bound, seconds. */
  upper(bucket: number): number {
    return this.#gamma ** (bucket + this.#lowest)
  }

  /**
   * The nearest rank of `count` values: the smallest one that at least `q` of all do not exceed (Hyndman and Fan 1996, definition 1).
   * So the p99 of two values is the larger one: few values hide nothing.
   *
   * @param q From 0 to 1.
   * @param counts Values by bucket, of which those in use lie from `low` to `high`.
   * @param max The largest value, which no quantile exceeds.
   */
  quantile(q: number, count: number, counts: ArrayLike<number>, low: number, high: number, max: number): number {
    // 0.07 × 100 is a little more than 7.
    const rank = Math.max(1, Math.ceil(q * count - 1e-9 * count))
    let seen = 0
    for (let bucket = low; bucket <= high; bucket++) {
      seen += counts[bucket]!
      if (seen >= rank) return Math.min(max, (2 * this.upper(bucket)) / (this.#gamma + 1))
    }
    return max
  }
}
