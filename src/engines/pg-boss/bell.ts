import { MAX_MS } from '../../model/check.ts'

/** What one loop waits for: to be rung, now or at a time. A ring while nobody waits is kept for the next wait. */
export class Bell {
  #rung = false
  #wake: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  /** When the wait ends without a ring; of `performance.now()`. */
  #until = 0

  /** Resolves when it is rung, or after so many ms. */
  wait(ms: number): Promise<void> {
    if (this.#rung) {
      this.#rung = false
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      this.#wake = resolve
      this.#endAt(performance.now() + ms)
    })
  }

  ring(): void {
    if (this.#wake === undefined) this.#rung = true
    else this.#end()
  }

  /** Rings for whoever waits in so many ms. */
  ringIn(ms: number): void {
    const at = performance.now() + ms
    if (this.#wake !== undefined && at < this.#until) this.#endAt(at)
  }

  #endAt(at: number): void {
    clearTimeout(this.#timer)
    this.#until = at
    const ms = Math.max(0, at - performance.now())
    if (ms < MAX_MS) this.#timer = setTimeout(() => this.#end(), ms)
  }

  #end(): void {
    clearTimeout(this.#timer)
    this.#wake?.()
    this.#wake = undefined
  }
}
