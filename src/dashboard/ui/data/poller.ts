import type { Failure } from './ask.ts'
import { backoff } from './backoff.ts'
import { isVisible, onVisibility } from './visibility.ts'

export interface Polled<T> {
  /** The last answer, also while newer ones fail. */
  readonly data: T | null
  /** When it came, by this machine's clock. */
  readonly at: number | null
  readonly failure: Failure | null
  /** When it is tried again, by this machine's clock; null when it is not. */
  readonly retryAt: number | null
}

export const NOTHING: Polled<never> = { data: null, at: null, failure: null, retryAt: null }

/** Those who may not, or ask for what is not there, get no other answer by asking again. */
const FINAL = [400, 401, 403, 404]

/** Asks again and again as long as the tab is seen, later and later while there is no answer. */
export class Poller<T> {
  readonly #load: (signal: AbortSignal) => Promise<T>
  readonly #every: (data: T) => number | null
  readonly #changed: (state: Polled<T>) => void
  readonly #unwatch: () => void
  #state: Polled<T> = NOTHING
  #failures = 0
  #asking: AbortController | undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  /** @param every ms between this answer and the next question; null when there is no need for another. */
  constructor(
    load: (signal: AbortSignal) => Promise<T>,
    every: (data: T) => number | null,
    changed: (state: Polled<T>) => void,
  ) {
    this.#load = load
    this.#every = every
    this.#changed = changed
    this.#unwatch = onVisibility((visible) => {
      if (!visible) this.#pause()
      else if (this.#state.data === null || this.#every(this.#state.data) !== null) this.reload()
    })
    if (isVisible()) this.reload()
  }

  reload(): void {
    this.#pause()
    const asking = new AbortController()
    this.#asking = asking
    this.#load(asking.signal).then(
      (data) => {
        if (asking.signal.aborted) return
        this.#failures = 0
        this.#set({ data, at: Date.now(), failure: null, retryAt: null })
        const wait = this.#every(data)
        if (wait !== null) this.#again(wait)
      },
      (failure: Failure) => {
        if (asking.signal.aborted) return
        const final = failure.status !== null && FINAL.includes(failure.status)
        const wait = final ? null : backoff(++this.#failures)
        this.#set({ ...this.#state, failure, retryAt: wait === null ? null : Date.now() + wait })
        if (wait !== null) this.#again(wait)
      },
    )
  }

  stop(): void {
    this.#pause()
    this.#unwatch()
  }

  #pause(): void {
    this.#asking?.abort()
    clearTimeout(this.#timer)
  }

  #again(wait: number): void {
    this.#timer = setTimeout(() => this.reload(), wait)
  }

  #set(state: Polled<T>): void {
    this.#state = state
    this.#changed(state)
  }
}
