import { boundedText } from '../model/bounded-text.ts'
import type { ErrorDescription } from '../model/describe-error.ts'
import { OTHER } from '../model/words.ts'

/** How many types are kept apart for one task; the rest is `_other`. */
const TYPES = 20
const MINUTE = 60_000
const MINUTES = 61
/** A newer example takes the place of an older one at most this often, ms: there may be a thousand a second. */
const EXAMPLE_EVERY = 1_000
const MESSAGE_LIMIT = 500
const STACK_LIMIT = 2_000

/** One of the errors of a type. */
export interface ErrorExample {
  readonly message: string
  readonly stack: string | undefined
  readonly traceId: string | undefined
  /** Of the deferral. */
  readonly id: string
}

interface Entry {
  /** By minute. */
  readonly counts: Uint32Array
  minute: number
  /** Clock ms. */
  lastAt: number
  example: ErrorExample
  exampleAt: number
}

/** Errors of one type. */
export interface ErrorGroup {
  readonly type: string
  readonly count: number
  /** Clock ms. */
  readonly lastAt: number
  readonly example: ErrorExample
}

/** The errors of one task in the last hour, by their type. */
export class ErrorLog {
  readonly #types = new Map<string, Entry>()

  /** @param now Clock ms. */
  add(error: ErrorDescription, id: string, traceId: string | undefined, now: number): void {
    const minute = Math.floor(now / MINUTE)
    const type = boundedText(error.type, 100)
    const entry = this.#types.get(type) ?? this.#types.get(this.#named(type, now))
    const isNew = entry === undefined
    if (isNew || now - entry.exampleAt >= EXAMPLE_EVERY) {
      const example: ErrorExample = {
        message: boundedText(error.message, MESSAGE_LIMIT),
        stack: error.stack === undefined ? undefined : boundedText(error.stack, STACK_LIMIT),
        traceId,
        id,
      }
      if (isNew) {
        const counts = new Uint32Array(MINUTES)
        counts[minute % MINUTES] = 1
        this.#types.set(this.#named(type, now), { counts, minute, lastAt: now, example, exampleAt: now })
        return
      }
      entry.example = example
      entry.exampleAt = now
    }
    advance(entry, minute)
    entry.counts[minute % MINUTES]! += 1
    entry.lastAt = now
  }

  /** Those of so many ms, to a minute, the most frequent first. */
  read(now: number, range: number): ErrorGroup[] {
    const minute = Math.floor(now / MINUTE)
    const groups = [...this.#types].map(([type, entry]) => {
      advance(entry, minute)
      let count = 0
      for (let past = 0; past <= Math.min(range / MINUTE, MINUTES - 1); past++) {
        count += entry.counts[(minute - past + MINUTES) % MINUTES]!
      }
      return { type, count, lastAt: entry.lastAt, example: entry.example }
    })
    return groups.filter(({ count }) => count > 0).sort((one, other) => other.count - one.count)
  }

  /** The type, or `_other` where there are too many that were seen in the last hour. */
  #named(type: string, now: number): string {
    if (this.#types.size < TYPES) return type
    for (const [known, { lastAt }] of this.#types) if (now - lastAt >= MINUTES * MINUTE) this.#types.delete(known)
    return this.#types.size < TYPES ? type : OTHER
  }
}

/** Empties the minutes that have passed since the last count. */
function advance(entry: Entry, minute: number): void {
  for (let passed = Math.min(minute - entry.minute, MINUTES); passed > 0; passed--) {
    entry.counts[(minute - passed + 1) % MINUTES] = 0
  }
  entry.minute = Math.max(entry.minute, minute)
}
