import type { ReadableSpan } from './sdk-types.ts'

/** Ended spans in the order in which they ended, cut into batches as they come: adding and taking are O(1) per span. */
export class SpanQueue {
  readonly #batchSize: number
  #full: ReadableSpan[][] = []
  #filling: ReadableSpan[] = []
  /** Batches of `#full` that have been taken already; cut off now and then, so that taking does not move the rest. */
  #taken = 0

  constructor(batchSize: number) {
    this.#batchSize = batchSize
  }

  /** Spans in the queue. */
  get size(): number {
    return this.fullBatches * this.#batchSize + this.#filling.length
  }

  get fullBatches(): number {
    return this.#full.length - this.#taken
  }

  add(span: ReadableSpan): void {
    this.#filling.push(span)
    if (this.#filling.length < this.#batchSize) return
    this.#full.push(this.#filling)
    this.#filling = []
  }

  /** The oldest batch: a full one, else, when `partial`, what there is. */
  take(partial: boolean): ReadableSpan[] | undefined {
    if (this.fullBatches > 0) {
      const batch = this.#full[this.#taken]!
      this.#full[this.#taken] = []
      this.#taken++
      if (this.#taken > 64) {
        this.#full = this.#full.slice(this.#taken)
        this.#taken = 0
      }
      return batch
    }
    if (!partial || this.#filling.length === 0) return undefined
    const batch = this.#filling
    this.#filling = []
    return batch
  }

  clear(): void {
    this.#full = []
    this.#filling = []
    this.#taken = 0
  }
}
