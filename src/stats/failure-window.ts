/** How far back the failure ratio looks, ms. */
export const WINDOW = 300_000
const SLOT = 10_000
const SLOTS = WINDOW / SLOT

/** How many deferrals completed and failed in the last five minutes, to ten seconds. */
export class FailureWindow {
  readonly #completed = new Float64Array(SLOTS)
  readonly #failed = new Float64Array(SLOTS)
  #slot = 0

  /** @param now Clock ms. */
  record(failed: boolean, now: number): void {
    this.#advance(now)
    const counts = failed ? this.#failed : this.#completed
    counts[this.#slot % SLOTS]! += 1
  }

  counts(now: number): { completed: number; failed: number } {
    this.#advance(now)
    return { completed: sum(this.#completed), failed: sum(this.#failed) }
  }

  /** Empties the slots that have passed since the last call. */
  #advance(now: number): void {
    const slot = Math.max(this.#slot, Math.floor(now / SLOT))
    for (let passed = Math.min(slot - this.#slot, SLOTS); passed > 0; passed--) {
      this.#completed[(slot - passed + 1) % SLOTS] = 0
      this.#failed[(slot - passed + 1) % SLOTS] = 0
    }
    this.#slot = slot
  }
}

function sum(counts: Float64Array): number {
  return counts.reduce((total, count) => total + count, 0)
}
