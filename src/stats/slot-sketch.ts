import { LogBuckets } from './log-buckets.ts'

/** Relative accuracy of a quantile: 1.5 %. */
const BUCKETS = new LogBuckets(0.015)

/** Seconds; null where nothing was measured. */
export interface Quantiles {
  readonly count: number
  readonly p50: number | null
  readonly p95: number | null
  readonly p99: number | null
  readonly max: number | null
}

export const NO_QUANTILES: Quantiles = Object.freeze({ count: 0, p50: null, p95: null, p99: null, max: null })

/** A sketch that takes no more values, in the fewest bytes: for each bucket in use the gap to the one before, and its count. */
export interface Packed {
  readonly bytes: Uint8Array
  readonly max: number
}

/**
 * A `Sketch` for a short time, of which many are kept: coarser, and packed when its time is over. Durations of a task that spread
 * over a factor of a thousand are 230 buckets, 460 bytes.
 */
export class SlotSketch {
  readonly #counts = new Uint32Array(BUCKETS.length)
  #count = 0
  #max = 0
  /** The buckets in use lie within. */
  #low = BUCKETS.length
  #high = -1

  get count(): number {
    return this.#count
  }

  /** @param seconds 0 or more. */
  record(seconds: number): void {
    this.#add(BUCKETS.of(seconds), 1)
    if (seconds > this.#max) this.#max = seconds
  }

  merge(packed: Packed): void {
    const { bytes } = packed
    let at = 0
    const next = (): number => {
      let value = 0
      for (let shift = 0; ; shift += 7) {
        const byte = bytes[at++]!
        value += (byte & 0x7f) * 2 ** shift
        if (byte < 0x80) return value
      }
    }
    let bucket = -1
    while (at < bytes.length) {
      bucket += next()
      this.#add(bucket, next())
    }
    this.#max = Math.max(this.#max, packed.max)
  }

  mergeLive(other: SlotSketch): void {
    for (let bucket = other.#low; bucket <= other.#high; bucket++) {
      if (other.#counts[bucket]! > 0) this.#add(bucket, other.#counts[bucket]!)
    }
    this.#max = Math.max(this.#max, other.#max)
  }

  /** What it holds; undefined where that is nothing. */
  pack(): Packed | undefined {
    if (this.#count === 0) return undefined
    let length = 0
    const put = (value: number) => {
      let left = value
      while (left >= 0x80) {
        packing[length++] = (left % 0x80) | 0x80
        left = Math.floor(left / 0x80)
      }
      packing[length++] = left
    }
    let before = -1
    for (let bucket = this.#low; bucket <= this.#high; bucket++) {
      if (this.#counts[bucket] === 0) continue
      put(bucket - before)
      put(this.#counts[bucket]!)
      before = bucket
    }
    return { bytes: packing.slice(0, length), max: this.#max }
  }

  clear(): void {
    if (this.#high >= 0) this.#counts.fill(0, this.#low, this.#high + 1)
    this.#count = 0
    this.#max = 0
    this.#low = BUCKETS.length
    this.#high = -1
  }

  quantiles(): Quantiles {
    if (this.#count === 0) return NO_QUANTILES
    const [p50, p95, p99] = [this.#quantile(0.5), this.#quantile(0.95), this.#quantile(0.99)]
    return { count: this.#count, p50, p95, p99, max: this.#max }
  }

  /** Every bucket in use: its upper bound in seconds, and its count. */
  *buckets(): Iterable<readonly [bound: number, count: number]> {
    for (let bucket = this.#low; bucket <= this.#high; bucket++) {
      if (this.#counts[bucket]! > 0) yield [BUCKETS.upper(bucket), this.#counts[bucket]!]
    }
  }

  #quantile(q: number): number {
    return BUCKETS.quantile(q, this.#count, this.#counts, this.#low, this.#high, this.#max)
  }

  #add(bucket: number, count: number): void {
    this.#counts[bucket]! += count
    this.#count += count
    if (bucket < this.#low) this.#low = bucket
    if (bucket > this.#high) this.#high = bucket
  }
}

/** A gap is at most two bytes, a count at most five. */
const packing = new Uint8Array(7 * BUCKETS.length)
