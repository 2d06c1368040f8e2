import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8'
import type { Clock } from '../model/clock.ts'
import type { Logger } from '../model/options.ts'
import type { Priority } from '../model/words.ts'
import type { Gate } from '../scheduler/gate.ts'
import { write } from './failure-log.ts'

/** How often V8 is asked at most, ms: it takes some ten microseconds. */
const EVERY = 200
/** How far below its share it has to come before low tasks start again, as a share of the limit: else each start would cross it again. */
const BELOW = 0.1
/**
 * After so long without any task running, one low task is started nevertheless, ms: where nothing runs, nothing is allocated, so V8 has no
 * reason to collect what is garbage, and all would wait for ever.
 */
const AT_REST = 10_000
/** At most one pair of lines in this time, ms. */
const QUIET = 10_000

/** Bytes. */
export interface HeapReading {
  readonly used: number
  readonly limit: number
}

/** The heap at this moment. Bytes. */
export interface HeapFigures extends HeapReading {
  /** Whether tasks of low priority are not started because of it. */
  readonly guarded: boolean
}

interface HeapGuardParts {
  readonly clock: Clock
  readonly logger: Logger
  /** Of the limit, from which on nothing of low priority starts; undefined: whatever happens, it does. */
  readonly share: number | undefined
  readonly read: () => HeapReading
  readonly resume: () => void
  /** Whether a low task waits. */
  readonly waits: () => boolean
  /** Whether no task runs. */
  readonly rests: () => boolean
}

/**
 * Starts no task of low priority while the heap is nearly full, so that what can wait is not what ends the process. It looks
 * only when a low task would start, and while one is held back.
 */
export class HeapGuard implements Gate {
  readonly #parts: HeapGuardParts
  #guarded = false
  #nextLook = Number.NEGATIVE_INFINITY
  /** Since when it has not seen a task run, clock ms; undefined while one does. */
  #restsSince: number | undefined
  /** One may start all the same. */
  #one = false
  #said = { at: Number.NEGATIVE_INFINITY, open: false }

  constructor(parts: HeapGuardParts) {
    this.#parts = parts
  }

  admits(priority: Priority, now: number): boolean {
    if (priority !== 'low' || this.#parts.share === undefined) return true
    if (!this.#guarded && now >= this.#nextLook) this.#look(now)
    return !this.#guarded || this.#one
  }

  started(): void {
    this.#one = false
    this.#restsSince = undefined
  }

  ended(): void {}

  read(): HeapFigures {
    return { ...this.#parts.read(), guarded: this.#guarded }
  }

  get guarded(): boolean {
    return this.#guarded
  }

  #look(now: number): void {
    const { clock, read, share = 1, waits, rests, resume } = this.#parts
    this.#nextLook = now + EVERY
    const { used, limit } = read()
    const wasGuarded = this.#guarded
    const from = wasGuarded ? Math.max(share - BELOW, share / 2) : share
    this.#guarded = used > limit * from && (!wasGuarded || waits())
    this.#say(now, used / limit)
    // The process has to live for it: a task waits.
    if (this.#guarded) clock.after(EVERY, () => this.#look(clock.now()))
    else if (wasGuarded) resume()
    if (this.#guarded && rests()) this.#restsSince ??= now
    else this.#restsSince = undefined
    if (this.#restsSince === undefined || now - this.#restsSince < AT_REST) return
    this.#one = true
    resume()
  }

  #say(now: number, used: number): void {
    const { logger } = this.#parts
    if (this.#guarded && !this.#said.open && now - this.#said.at >= QUIET) {
      this.#said = { at: now, open: true }
      const line = `the heap is at ${percent(used)} of its limit: tasks of priority low are not started`
      write(logger, 'warn', `afterspan: ${line}`)
    } else if (!this.#guarded && this.#said.open) {
      this.#said.open = false
      const seconds = ((now - this.#said.at) / 1000).toFixed(1)
      const line = `the heap is at ${percent(used)} of its limit: tasks of priority low are not held back any more, after ${seconds} s`
      write(logger, 'info', `afterspan: ${line}`)
    }
  }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`
}

/** Spaces of short-lived objects: V8 empties them on its own, and its limit of the old ones is what ends a process. */
const YOUNG = new Set(['new_space', 'new_large_object_space'])

/**
 * What of V8's heap outlives a young collection, and the limit at which V8 gives up. `heap_size_limit` has the largest young
 * generation in it, which is 192 MB where `--max-old-space-size` is given, however small that is.
 */
export function readHeap(): HeapReading {
  let used = 0
  for (const { space_name, space_used_size } of getHeapSpaceStatistics())
    if (!YOUNG.has(space_name)) used += space_used_size
  return { used, limit: Math.min(getHeapStatistics().heap_size_limit, oldSpaceLimit) }
}

const oldSpaceLimit = givenLimit([...process.execArgv, ...(process.env.NODE_OPTIONS ?? '').split(/\s+/)])

function givenLimit(options: readonly string[]): number {
  const found = options.join(' ').match(/--max[-_]old[-_]space[-_]size[= ](\d+)/)
  return found === null ? Number.POSITIVE_INFINITY : Number(found[1]) * 2 ** 20
}
