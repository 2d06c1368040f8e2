import { Sketch } from '../stats/sketch.ts'

/** When an attempt is slow. */
export interface SlowRule {
  /** ms; undefined: no limit of this kind. */
  readonly threshold: number | undefined
  /** By how many times the p99 of its own task; undefined: no limit of this kind. */
  readonly factor: number | undefined
  /** How many may be called slow in a minute, of all tasks. */
  readonly perMinute: number
}

/** A p99 says nothing before there are so many attempts. */
const ENOUGH = 100
/** An attempt that is shorter has too few samples to tell anything, ms. */
const SHORTEST = 100
/** The p99 is of the latest attempts: between one and two times as many. */
const SPAN = 10_000
/** How often the p99 is worked out: once in so many attempts. */
const RENEW = 50

class Durations {
  #recent = new Sketch()
  #before = new Sketch()
  #count = 0
  #total = 0
  #p99: number | undefined

  /** p99 of the attempts before this one, s. */
  get p99(): number | undefined {
    return this.#p99
  }

  record(seconds: number): void {
    this.#recent.record(seconds)
    this.#count++
    this.#total++
    if (this.#total < ENOUGH) return
    if (this.#p99 === undefined || this.#count % RENEW === 0) {
      const both = new Sketch()
      both.merge(this.#before)
      both.merge(this.#recent)
      this.#p99 = both.quantile(0.99) ?? undefined
    }
    if (this.#count < SPAN) return
    this.#before = this.#recent
    this.#recent = new Sketch()
    this.#count = 0
  }
}

/** Finds the attempts that are slow, for all time or for their task, and not too many of them. */
export class SlowAttempts {
  readonly #rule: SlowRule
  readonly #durations = new Map<string, Durations>()
  /** `performance.now()` of those that were called slow in the last minute. */
  #latest: number[] = []

  constructor(rule: SlowRule) {
    this.#rule = rule
  }

  /** Which limit it is over, if it may be called slow. @param duration ms. @param now `performance.now()` */
  check(label: string, duration: number, now: number): 'threshold' | 'p99' | undefined {
    const over = this.#over(label, duration)
    if (over === undefined) return undefined
    this.#latest = this.#latest.filter((at) => at > now - 60_000)
    if (this.#latest.length >= this.#rule.perMinute) return undefined
    this.#latest.push(now)
    return over
  }

  #over(label: string, duration: number): 'threshold' | 'p99' | undefined {
    const { threshold, factor } = this.#rule
    let p99: number | undefined
    if (factor !== undefined) {
      let durations = this.#durations.get(label)
      if (durations === undefined) {
        durations = new Durations()
        this.#durations.set(label, durations)
      }
      p99 = durations.p99
      durations.record(duration / 1000)
    }
    if (threshold !== undefined && duration >= threshold) return 'threshold'
    return p99 !== undefined && duration >= SHORTEST && duration > factor! * p99 * 1000 ? 'p99' : undefined
  }
}
