import { boundedText } from '../model/bounded-text.ts'
import { describeError } from '../model/describe-error.ts'
import type { Place } from '../model/profiler.ts'
import type { AttemptEnd } from '../model/seam.ts'
import type { Outcome } from '../model/words.ts'
import { AttemptLog, type LoggedAttempt } from './attempt-log.ts'
import { ErrorLog } from './error-log.ts'
import { add, Counts, isEmpty, together } from './history-counts.ts'
import {
  type ByMeasure,
  each,
  type Gauges,
  MEASURES,
  PARTS,
  type Part,
  PartRing,
  type Percentiles,
} from './part-ring.ts'
import { RECENT_SLOTS, RecentSketch, SLOT, SlotTimer } from './recent-sketch.ts'
import { NO_QUANTILES, type Packed, type Quantiles, SlotSketch } from './slot-sketch.ts'

/** How many slots are a minute, the part of the chart of an hour. */
const IN_MINUTE = 60_000 / SLOT
const FAILED = 20

/** What the history needs to know of a deferral. */
export interface RecordedJob {
  readonly id: string
  /** From 1. */
  readonly attempt: number
  /** Of the latest attempt, ms. */
  readonly wait: number
  readonly origin: { readonly route: string | undefined } | undefined
  /** Of the latest attempt that has ended; undefined where that was not sampled. */
  readonly traceId: string | undefined
  readonly error: unknown
}

/** A deferral that has failed. */
export interface FailedJob {
  readonly id: string
  /** Clock ms. */
  readonly at: number
  readonly attempts: number
  /** Type and message, cut. */
  readonly error: string
  readonly traceId: string | undefined
}

/** The figures of one task in the last five minutes. */
export interface RecentFigures extends Readonly<ByMeasure<Quantiles>> {
  /** How many seconds they cover, at most 315. */
  readonly seconds: number
  readonly counts: Readonly<Counts>
}

/** The last parts of time, the oldest first; the last one has not ended. */
export interface Chart {
  /** When each part ends, clock ms. */
  readonly times: readonly number[]
  /** How long each took, ms. */
  readonly lengths: readonly number[]
  readonly parts: readonly Part[]
  readonly durations: SlotSketch
}

/**
 * What happened to one task in the last hour: in parts of 15 seconds for 15 minutes and of a minute for the hour, each with its
 * counts and quantiles. Nothing of it is done by a timer: parts end when something happens, or when somebody looks.
 */
export class TaskHistory {
  readonly attempts = new AttemptLog()
  readonly errors = new ErrorLog()
  readonly #gauges: () => Gauges
  readonly #timer: SlotTimer
  readonly #recent: ByMeasure<RecentSketch> = {
    wait: new RecentSketch(),
    duration: new RecentSketch(),
    effect: new RecentSketch(),
  }
  readonly #slots = new PartRing()
  readonly #minutes = new PartRing()
  /** Of the same minutes. */
  readonly #durationsOfMinutes: (Packed | undefined)[] = []
  readonly #failed: FailedJob[] = []
  #live = new Counts()
  #minute = new Counts()
  #minuteSketches: ByMeasure<SlotSketch> | undefined
  #slotsOfMinute = 0

  /** @param gauges As they are now: those of a part of time are those of its end. */
  constructor(now: number, gauges: () => Gauges) {
    this.#gauges = gauges
    this.#timer = new SlotTimer(now)
  }

  /** To be called before something changes: what has ended, ended before. */
  advance(now: number): void {
    const passed = this.#timer.passed(now)
    for (let slot = Math.min(passed, PARTS * IN_MINUTE); slot > 0; slot--) this.#endSlot()
  }

  waited(job: RecordedJob): void {
    this.#recent.wait.record(job.wait / 1000)
  }

  ended(job: RecordedJob, end: AttemptEnd, now: number): void {
    const duration = end.duration / 1000
    this.#recent.duration.record(duration)
    let error: string | undefined
    if (end.result === 'error' || end.result === 'timeout') {
      const described = describeError(end.error)
      this.errors.add(described, job.id, job.traceId, now)
      error = boundedText(`${described.type}: ${described.message}`, 300)
    }
    const logged: LoggedAttempt = {
      id: job.id,
      attempt: job.attempt,
      at: Date.now() - end.duration,
      wait: job.wait / 1000,
      duration,
      result: end.result,
      error,
      route: job.origin?.route,
      traceId: job.traceId,
    }
    this.attempts.add(logged, now)
  }

  /** @param effect Seconds; undefined where it is not known here. */
  finished(job: RecordedJob, outcome: Outcome, effect: number | undefined, now: number): void {
    this.#live[outcome]++
    if (effect !== undefined) this.#recent.effect.record(effect)
    if (outcome !== 'failed') return
    const { type, message } = describeError(job.error)
    const error = boundedText(`${type}: ${message}`, 300)
    this.#failed.push({ id: job.id, at: now, attempts: job.attempt, error, traceId: job.traceId })
    if (this.#failed.length > FAILED) this.#failed.shift()
  }

  retried(): void {
    this.#live.retries++
  }

  retryRefused(): void {
    this.#live.refused++
  }

  blocked(seconds: number, stall: boolean, place: Place | undefined): void {
    this.#live.blocked = together(this.#live.blocked, { seconds, longest: seconds, stalls: stall ? 1 : 0, place })
  }

  /** The latest first. */
  failed(): readonly FailedJob[] {
    return this.#failed.toReversed()
  }

  recent(now: number): RecentFigures {
    this.advance(now)
    const counts = new Counts()
    for (const slot of this.#slots.last(RECENT_SLOTS)) add(counts, slot.counts)
    add(counts, this.#live)
    const { wait, duration, effect } = this.#recent
    return {
      seconds: (Math.min(this.#slots.size, RECENT_SLOTS) * SLOT + this.#timer.elapsed(now)) / 1000,
      counts,
      wait: wait.quantiles(),
      duration: duration.quantiles(),
      effect: effect.quantiles(),
    }
  }

  /** Completed and failed in each of the last parts of 15 seconds, the oldest first. */
  sparkline(now: number): { completed: number[]; failed: number[] } {
    this.advance(now)
    const counts = [...this.#slots.last().map((slot) => slot.counts), this.#live]
    const padding = new Array<undefined>(PARTS - counts.length).fill(undefined)
    const line = (of: 'completed' | 'failed') => [...padding, ...counts].map((part) => part?.[of] ?? 0)
    return { completed: line('completed'), failed: line('failed') }
  }

  /** Of 15 minutes in parts of 15 seconds, or of an hour in minutes. */
  chart(now: number, hour: boolean): Chart {
    this.advance(now)
    const ended = (hour ? this.#minutes : this.#slots).last()
    const length = hour ? SLOT * IN_MINUTE : SLOT
    const elapsed = this.#timer.elapsed(now) + (hour ? this.#slotsOfMinute * SLOT : 0)
    const counts = new Counts()
    if (hour) add(counts, this.#minute)
    add(counts, this.#live)
    const live = { ...this.#gauges(), counts, percentiles: percentilesOf(this.#liveSketches(hour)) }
    return {
      times: [...ended.map((_, index) => now - elapsed - (ended.length - 1 - index) * length), now],
      lengths: [...ended.map(() => length), Math.max(elapsed, 1_000)],
      parts: [...ended, live],
      durations: this.#durations(hour),
    }
  }

  #durations(hour: boolean): SlotSketch {
    const sum = new SlotSketch()
    const minutes = this.#durationsOfMinutes.slice(hour ? 0 : -PARTS / IN_MINUTE)
    for (const durations of minutes) if (durations !== undefined) sum.merge(durations)
    if (this.#minuteSketches !== undefined) sum.mergeLive(this.#minuteSketches.duration)
    this.#recent.duration.addLive(sum)
    return sum
  }

  #liveSketches(hour: boolean): ByMeasure<SlotSketch> {
    const sketches = newSketches()
    for (const measure of MEASURES) {
      if (hour && this.#minuteSketches !== undefined) sketches[measure].mergeLive(this.#minuteSketches[measure])
      this.#recent[measure].addLive(sketches[measure])
    }
    return sketches
  }

  #endSlot(): void {
    const gauges = this.#gauges()
    const sketches: ByMeasure<Packed | undefined> = {
      wait: this.#recent.wait.close(),
      duration: this.#recent.duration.close(),
      effect: this.#recent.effect.close(),
    }
    if (MEASURES.some((measure) => sketches[measure] !== undefined)) {
      this.#minuteSketches ??= newSketches()
      for (const measure of MEASURES) {
        const packed = sketches[measure]
        if (packed !== undefined) this.#minuteSketches[measure].merge(packed)
      }
    }
    const counts = this.#live
    if (!isEmpty(counts)) {
      add(this.#minute, counts)
      this.#live = new Counts()
    }
    this.#slots.push({ ...gauges, counts, percentiles: each((measure) => percentilesOfPacked(sketches[measure])) })
    this.#slotsOfMinute++
    if (this.#slotsOfMinute === IN_MINUTE) this.#endMinute(gauges)
  }

  #endMinute(gauges: Gauges): void {
    const sketches = this.#minuteSketches
    const counts = this.#minute
    const percentiles = sketches === undefined ? NONE : percentilesOf(sketches)
    this.#minutes.push({ ...gauges, counts, percentiles })
    this.#durationsOfMinutes.push(sketches?.duration.pack())
    if (this.#durationsOfMinutes.length > this.#minutes.size) this.#durationsOfMinutes.shift()
    this.#slotsOfMinute = 0
    if (!isEmpty(counts)) this.#minute = new Counts()
    if (sketches === undefined) return
    // A task that nothing happens to needs none.
    if (MEASURES.every((measure) => sketches[measure].count === 0)) this.#minuteSketches = undefined
    else for (const measure of MEASURES) sketches[measure].clear()
  }
}

const NONE: Readonly<ByMeasure<Percentiles>> = Object.freeze(each(() => NO_QUANTILES))
const scratch = new SlotSketch()

function newSketches(): ByMeasure<SlotSketch> {
  return each(() => new SlotSketch())
}

function percentilesOf(sketches: ByMeasure<SlotSketch>): ByMeasure<Percentiles> {
  return each((measure) => sketches[measure].quantiles())
}

function percentilesOfPacked(packed: Packed | undefined): Percentiles {
  if (packed === undefined) return NO_QUANTILES
  scratch.clear()
  scratch.merge(packed)
  return scratch.quantiles()
}
