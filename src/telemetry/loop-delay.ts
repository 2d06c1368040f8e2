/** For how long delays are added up before they are told, ms. */
export const WINDOW = 200
/** How much of a new reading goes into what is usual. */
const LEARNS = 0.2

export interface DelayMeter {
  /** @param tell Called about every 200 ms with the delay of that time, on average, and its length; both in ms. */
  start(tell: (delay: number, ms: number) => void): void
  stop(): void
}

/**
 * Measures the average delay that work in this thread adds to the event loop: what something that comes at any moment waits
 * for the loop's next turn, beyond what it waits while none of that work runs.
 *
 * A timer of a few ms marks the turns. Whoever comes in a gap of g ms between two of them waits g / 2 on average, and comes
 * into it with a chance in proportion to g; so over a time the average is Σ g² ÷ 2 Σ g. Every stretch that holds the loop
 * counts in full, and none is missed between two samples. The same sum over the gaps in which the work did not run is what
 * is usual: the timer's own length, other programs on the machine, and what requests cost each other.
 */
export class LoopDelay implements DelayMeter {
  readonly #beat: number
  readonly #worked: () => boolean
  #usual: number | undefined
  #timer: NodeJS.Timeout | undefined
  #last = 0
  #all = { time: 0, squares: 0 }
  #idle = { time: 0, squares: 0 }

  /**
   * @param beat ms, whole: shorter stretches are not seen, and each beat costs about 10 µs.
   * @param worked Whether the work ran at some moment since it was asked last.
   */
  constructor(beat: number, worked: () => boolean) {
    this.#beat = beat
    this.#worked = worked
  }

  start(tell: (delay: number, ms: number) => void): void {
    if (this.#timer !== undefined) return
    this.#last = performance.now()
    this.#worked()
    this.#forget()
    this.#timer = setInterval(() => this.#turn(tell), this.#beat)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #turn(tell: (delay: number, ms: number) => void): void {
    const now = performance.now()
    const gap = now - this.#last
    this.#last = now
    const square = gap * gap
    this.#all.time += gap
    this.#all.squares += square
    if (!this.#worked()) {
      this.#idle.time += gap
      this.#idle.squares += square
    }
    if (this.#all.time < WINDOW) return
    const ms = this.#all.time
    const delay = this.#beyondUsual()
    this.#forget()
    tell(delay, ms)
  }

  #beyondUsual(): number {
    const average = this.#all.squares / (2 * this.#all.time)
    // A reading without enough idle time says little of what is usual.
    if (this.#idle.time >= WINDOW / 10) {
      const idle = this.#idle.squares / (2 * this.#idle.time)
      this.#usual = this.#usual === undefined ? idle : this.#usual + LEARNS * (idle - this.#usual)
    }
    // Where the work never rests, a timer that is on time is taken as usual.
    const usual = this.#usual ?? (this.#beat + 0.2) / 2
    // What is usual cannot be more than what there is, with the work.
    if (average < usual) this.#usual = usual + LEARNS * (average - usual)
    return Math.max(0, average - usual)
  }

  #forget(): void {
    this.#all = { time: 0, squares: 0 }
    this.#idle = { time: 0, squares: 0 }
  }
}
