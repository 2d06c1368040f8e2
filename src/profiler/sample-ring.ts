import type { Sample } from './sample.ts'

/** How many samples are kept: five minutes of an endlessly busy loop at the usual rate. */
export const MOST_SAMPLES = 30_000
/** For how long they are kept, ms. */
export const LONGEST = 10 * 60_000

/** The latest samples, in the order of time, bounded by number and by age. */
export class SampleRing {
  readonly #most: number
  readonly #longest: number
  /** Those before `#first` are gone; they are cut off when they are half of the array. */
  #samples: (Sample | undefined)[] = []
  #first = 0
  #lostUntil = 0

  constructor(most = MOST_SAMPLES, longest = LONGEST) {
    this.#most = most
    this.#longest = longest
  }

  get size(): number {
    return this.#samples.length - this.#first
  }

  /** `performance.now()` of the latest that had to go for want of room. */
  get lostUntil(): number {
    return this.#lostUntil
  }

  push(samples: readonly Sample[]): void {
    for (const sample of samples) this.#samples.push(sample)
    while (this.size > this.#most) {
      this.#lostUntil = this.#samples[this.#first]!.at
      this.#drop()
    }
  }

  /** Lets go of what is too old. @param now `performance.now()` */
  expire(now: number): void {
    while (this.size > 0 && this.#samples[this.#first]!.at < now - this.#longest) this.#drop()
  }

  /** Those from a moment on, the latest first. */
  *since(at: number): IterableIterator<Sample> {
    for (let index = this.#samples.length - 1; index >= this.#first; index--) {
      const sample = this.#samples[index]!
      if (sample.at < at) return
      yield sample
    }
  }

  clear(): void {
    this.#samples = []
    this.#first = 0
    this.#lostUntil = 0
  }

  #drop(): void {
    this.#samples[this.#first++] = undefined
    if (this.#first < this.#samples.length / 2) return
    this.#samples = this.#samples.slice(this.#first)
    this.#first = 0
  }
}
