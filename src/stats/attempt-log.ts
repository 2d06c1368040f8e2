import type { Result } from '../model/words.ts'

/** One attempt that has ended. */
export interface LoggedAttempt {
  readonly id: string
  readonly attempt: number
  /** When it started, ms since the epoch. */
  readonly at: number
  /** Seconds. */
  readonly wait: number
  readonly duration: number
  readonly result: Result
  /** Type and message, cut. */
  readonly error: string | undefined
  readonly route: string | undefined
  readonly traceId: string | undefined
}

const LATEST = 20
/** The slowest are kept for each part of the hour, so that those of the last quarter can be told too. ms. */
const PART = 300_000
const PARTS = 13
const SLOWEST = 5

/** The latest and the slowest attempts of one task, of the last hour. */
export class AttemptLog {
  readonly #latest: LoggedAttempt[] = []
  /** By part, the latest part last. */
  readonly #slowest: { readonly part: number; readonly attempts: LoggedAttempt[] }[] = []

  /** @param now Clock ms. */
  add(attempt: LoggedAttempt, now: number): void {
    this.#latest.push(attempt)
    if (this.#latest.length > LATEST) this.#latest.shift()
    const part = Math.floor(now / PART)
    let slowest = this.#slowest.at(-1)
    if (slowest?.part !== part) {
      slowest = { part, attempts: [] }
      this.#slowest.push(slowest)
      if (this.#slowest.length > PARTS) this.#slowest.shift()
    }
    insert(slowest.attempts, attempt)
  }

  /** The latest first. */
  latest(): readonly LoggedAttempt[] {
    return this.#latest.toReversed()
  }

  /** The slowest of so many ms, to five minutes. */
  slowest(now: number, range: number): readonly LoggedAttempt[] {
    const found = this.#slowest
      .filter(({ part }) => part > (now - range) / PART - 1)
      .flatMap(({ attempts }) => attempts)
    return found.sort((one, other) => other.duration - one.duration).slice(0, LATEST)
  }
}

/** Keeps the slowest ones, the slowest first. */
function insert(slowest: LoggedAttempt[], attempt: LoggedAttempt): void {
  if (slowest.length >= SLOWEST && attempt.duration <= slowest.at(-1)!.duration) return
  const place = slowest.findIndex(({ duration }) => duration < attempt.duration)
  slowest.splice(place === -1 ? slowest.length : place, 0, attempt)
  if (slowest.length > SLOWEST) slowest.pop()
}
