import type { Clock } from '../model/clock.ts'
import { systemClock } from '../model/clock.ts'
import type { Logger } from '../model/options.ts'
import type { Held, Place, Profiler } from '../model/profiler.ts'
import type { Figures } from '../stats/figures.ts'
import { BEAT, type Beat, loopMonitor } from '../telemetry/loop-monitor.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { Deferral } from './deferral.ts'
import { write } from './failure-log.ts'

/** From which length on a synchronous stretch is recorded, ms: two samples at the profiler's usual rate. */
export const STRETCH = 20
/** From which length on it is a stall: an event of the attempt's span, and a line in the log. ms. */
export const STALL = 50
/** At most one line per task in this time, ms. */
const QUIET = 10_000

/**
 * Tells which task held the event loop, and for how long.
 *
 * What a handler does up to its first await is measured. What it does after an await is known where the profiler runs: when
 * a beat of the loop comes late, the samples of that time say whose it was. Where an attempt ends in the middle of such a
 * stall, they are asked at once, as long as its span is open.
 */
export class Blocking {
  readonly #clock: Clock
  readonly #telemetry: Telemetry
  readonly #figures: Figures
  readonly #logger: Logger
  readonly #profiler: () => Profiler | undefined
  readonly #lastLine = new Map<string, { at: number; since: number }>()
  /** `performance.now()` up to which it is known who held the loop. */
  #knownUntil = 0
  #stop: (() => void) | undefined

  constructor(
    clock: Clock,
    telemetry: Telemetry,
    figures: Figures,
    logger: Logger,
    profiler: () => Profiler | undefined,
  ) {
    this.#clock = clock
    this.#telemetry = telemetry
    this.#figures = figures
    this.#logger = logger
    this.#profiler = profiler
  }

  /** To be called when the profiler runs: from then on late beats are looked into. */
  watch(): void {
    this.#stop ??= loopMonitor.listen((beat) => this.#beat(beat))
  }

  close(): void {
    this.#stop?.()
    this.#stop = undefined
  }

  /** A handler has come to its first await, or its end; it was called at `since`, clock ms. */
  stretch(job: Deferral, attempt: number, since: number): void {
    const held = this.#clock.now() - since
    if (held < STRETCH) return
    let place: Place | undefined
    if (this.#clock === systemClock) {
      const until = since + held
      place = held >= STALL ? this.#own(job, since, until)?.place : undefined
      this.#knownUntil = until
    }
    this.#record(job, attempt, held, place)
  }

  /** An attempt ends, and its span is still open. */
  ending(job: Deferral): void {
    if (this.#stop === undefined) return
    const now = performance.now()
    if (loopMonitor.stuckFor(now) < STALL) return
    const since = Math.max(loopMonitor.last, this.#knownUntil)
    // One flush a stall at the most: others that end in it are looked up at the next beat.
    if (now - since < STALL) return
    const own = this.#own(job, since, now)
    if (own === undefined || own.held < STRETCH) return
    this.#knownUntil = now
    this.#record(job, job.attempt, own.held, own.place)
  }

  #beat({ since, at, delay }: Beat): void {
    if (delay < STRETCH) return
    const from = Math.max(since, this.#knownUntil)
    if (at - from < STRETCH + BEAT) return
    this.#knownUntil = at
    for (const { job, attempt, held, place } of this.#profiler()?.held(from, at) ?? []) {
      if (held >= STRETCH) this.#record(job as Deferral, attempt, held, place)
    }
  }

  #own(job: Deferral, since: number, until: number): Held | undefined {
    return this.#profiler()
      ?.held(since, until)
      .find((held) => held.job === job)
  }

  #record(job: Deferral, attempt: number, held: number, place: Place | undefined): void {
    const stall = held >= STALL
    this.#telemetry.blocked(job, attempt, held / 1000, stall, place)
    this.#figures.blocked(job, held / 1000, stall, place)
    if (stall) this.#say(job.label, held, place)
  }

  #say(label: string, held: number, place: Place | undefined): void {
    const now = this.#clock.now()
    const last = this.#lastLine.get(label)
    if (last !== undefined && now - last.at < QUIET) {
      last.since++
      return
    }
    this.#lastLine.set(label, { at: now, since: 0 })
    const where = place === undefined ? '' : ` in ${described(place)}`
    const more = last !== undefined && last.since > 0 ? ` (and ${last.since} times more since the last line)` : ''
    write(
      this.#logger,
      'warn',
      `afterspan: task "${label}" held the event loop for ${Math.round(held)} ms${where}${more}; nothing else ran meanwhile`,
    )
  }
}

function described({ name, file, line }: Place): string {
  if (file === undefined) return name
  return `${name} (${file.replace(/^file:\/\//, '')}${line === undefined ? '' : `:${line}`})`
}
