/** How often the event loop is asked whether it turns, ms. Fifty timers a second cost about a thousandth of a core. */
export const BEAT = 20

export interface Beat {
  /** `performance.now()`, ms. */
  readonly at: number
  /** Of the beat before, or of the first listener: from then on the loop may have stood still. */
  readonly since: number
  /** By how much it came late, ms. */
  readonly delay: number
}

/** Tells by how much timers of this process come late; one for the process, whose own timer keeps nothing alive. */
class LoopMonitor {
  readonly #listeners = new Set<(beat: Beat) => void>()
  #timer: NodeJS.Timeout | undefined
  #last = 0

  /** `performance.now()` of the latest beat. */
  get last(): number {
    return this.#last
  }

  /** The function that is returned stops it. A listener must not throw. */
  listen(listener: (beat: Beat) => void): () => void {
    this.#listeners.add(listener)
    if (this.#timer === undefined) {
      this.#last = performance.now()
      this.#timer = setInterval(() => this.#beat(), BEAT)
      this.#timer.unref()
    }
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  #beat(): void {
    const at = performance.now()
    const since = this.#last
    this.#last = at
    const beat = { at, since, delay: Math.max(0, at - since - BEAT) }
    for (const listener of this.#listeners) listener(beat)
  }
}

export const loopMonitor = new LoopMonitor()
