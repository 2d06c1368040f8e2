import type { Clock } from '../model/clock.ts'

interface Timer {
  readonly at: number
  readonly order: number
  readonly call: () => void
}

/** A clock that stands still until a test moves it. */
export class ControlledClock implements Clock {
  #now = 1_000
  #order = 0
  #timers: Timer[] = []
  #nextTurn: (() => void)[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, order: this.#order++, call }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  nextTurn(call: () => void): void {
    this.#nextTurn.push(call)
    // Also without a test that asks for it: real code waits for a real turn.
    setImmediate(() => this.#runTurns())
  }

  /** Moves on by so many milliseconds, calls what falls due on the way, in order, and lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await this.turn()
    for (let timer = this.#next(); timer !== undefined && timer.at <= end; timer = this.#next()) {
      this.#fire(timer)
      await this.turn()
    }
    this.#now = end
    await this.turn()
  }

  /** Moves on to the next timer and calls it; false when there is none. */
  async advanceToNext(): Promise<boolean> {
    const timer = this.#next()
    if (timer === undefined) return false
    this.#fire(timer)
    await this.turn()
    return true
  }

  /** Lets promises settle and I/O have its share; time stands still. */
  async turn(): Promise<void> {
    do {
      await new Promise<void>((resolve) => setImmediate(resolve))
      this.#runTurns()
      await new Promise<void>((resolve) => setImmediate(resolve))
    } while (this.#nextTurn.length > 0)
  }

  #fire(timer: Timer): void {
    this.#timers = this.#timers.filter((other) => other !== timer)
    this.#now = Math.max(this.#now, timer.at)
    timer.call()
  }

  #next(): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) {
      if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer
    }
    return next
  }

  #runTurns(): void {
    const calls = this.#nextTurn
    this.#nextTurn = []
    for (const call of calls) call()
  }
}
