import { type Blocked, COUNTED, Counts } from './history-counts.ts'

/** How many parts a chart and the line beside a task have, with the one that has not ended. */
export const PARTS = 60
const ENDED = PARTS - 1

export const MEASURES = ['wait', 'duration', 'effect'] as const
export type Measure = (typeof MEASURES)[number]
export type ByMeasure<T> = Record<Measure, T>

export function each<T>(make: (measure: Measure) => T): ByMeasure<T> {
  return { wait: make('wait'), duration: make('duration'), effect: make('effect') }
}

/** What of a task goes up and down. */
export interface Gauges {
  readonly waiting: number
  readonly running: number
}

/** Seconds; null where nothing was measured. */
export interface Percentiles {
  readonly p50: number | null
  readonly p95: number | null
  readonly p99: number | null
}

/** A part of time. The gauges are those of its end. */
export interface Part extends Gauges {
  readonly counts: Readonly<Counts>
  readonly percentiles: Readonly<ByMeasure<Percentiles>>
}

const QUANTILES = ['p50', 'p95', 'p99'] as const
const NUMBERS = COUNTED.length + 2 + MEASURES.length * QUANTILES.length

/** The parts of time that have ended last, as bare numbers: objects of them would take four times as much memory. */
export class PartRing {
  #values: Float64Array | undefined
  /** Seldom there. */
  readonly #blocked: (Blocked | undefined)[] = new Array(ENDED).fill(undefined)
  #begin = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  push({ counts, waiting, running, percentiles }: Part): void {
    this.#values ??= new Float64Array(ENDED * NUMBERS)
    const place = (this.#begin + this.#size) % ENDED
    let at = place * NUMBERS
    for (const key of COUNTED) this.#values[at++] = counts[key]
    this.#values[at++] = waiting
    this.#values[at++] = running
    for (const measure of MEASURES) {
      for (const q of QUANTILES) this.#values[at++] = percentiles[measure][q] ?? Number.NaN
    }
    this.#blocked[place] = counts.blocked
    if (this.#size < ENDED) this.#size++
    else this.#begin = (this.#begin + 1) % ENDED
  }

  /** The latest so many, the oldest first. */
  last(parts = ENDED): Part[] {
    const count = Math.min(parts, this.#size)
    return Array.from({ length: count }, (_, index) => this.#read((this.#begin + this.#size - count + index) % ENDED))
  }

  #read(place: number): Part {
    const values = this.#values!
    const counts = new Counts()
    let at = place * NUMBERS
    for (const key of COUNTED) counts[key] = values[at++]!
    counts.blocked = this.#blocked[place]
    const waiting = values[at++]!
    const running = values[at++]!
    const next = () => {
      const value = values[at++]!
      return Number.isNaN(value) ? null : value
    }
    return { counts, waiting, running, percentiles: each(() => ({ p50: next(), p95: next(), p99: next() })) }
  }
}
