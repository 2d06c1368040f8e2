import type { Clock } from '../model/clock.ts'
import { systemClock } from '../model/clock.ts'
import type { Logger } from '../model/options.ts'
import type { Place, Profiler } from '../model/profiler.ts'
import type { Figures } from '../stats/figures.ts'
import { BEAT, type Beat, loopMonitor } from '../telemetry/loop-monitor.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { Deferral } from './deferral.ts'
import { write } from './failure-log.ts'

/** From which length on a synchronous stretch is recorded, ms: two samples at the profiler's usual rate. */
export const STRETCH = 20
/** From which length on it is a stall: an event of the attempt's span, and a line in the log. ms. */
export const STALL = 50
/** So many samples must say so: a single one may stand for the time of somebody else, where the sampler came late. */
const SAMPLES = 2
/** Samples may miss the two ends of a stretch: so much of it is enough. */
const SURE = 0.8
/** Of what was measured, so much must have been seen: a thread that has no core is not seen to run. */
const SEEN = 0.5
/** At most one line per task in this time, ms. */
const QUIET = 10_000
/** For how long what is no stall may wait until it is looked into: to ask the samples takes about 1 ms. ms. */
const LOOK = 1_000
/** How many may wait. */
const MOST_WAITING = 50

/** A stretch of time in which the loop did not turn, by `performance.now()`. */
interface Gap {
  readonly since: number
  readonly until: number
}

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
  /** `performance.now()` up to which it is known, or will be asked, who held the loop. */
  #knownUntil = 0
  /** Those that are too short for a stall. */
  #waiting: Gap[] = []
  #lookedAt = 0
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
      if (this.#stop !== undefined) this.#gap(loopMonitor.last, since)
      this.#knownUntil = until
      const found = held >= STALL ? this.#profiler()?.held(since, until) : undefined
      const own = found?.find((each) => each.job === job)
      // The thread stood still because it had no core, not because of what ran.
      if (found !== undefined && (own === undefined || own.held < held * SEEN)) return
      place = own?.place
    }
    this.#record(job, attempt, held, held >= STALL, place)
  }

  /** An attempt ends, and its span is still open. */
  ending(): void {
    if (this.#stop === undefined) return
    const now = performance.now()
    if (now - Math.max(loopMonitor.last, this.#knownUntil) >= STALL) this.#gap(loopMonitor.last, now)
  }

  #beat({ since, at }: Beat): void {
    this.#gap(since, at)
    if (this.#waiting.length > 0 && at - this.#lookedAt >= LOOK) this.#look([])
  }

  /** The loop has not turned since a beat; what of that time is known already is left out. */
  #gap(beat: number, until: number): void {
    const since = Math.max(beat, this.#knownUntil)
    // After a beat it may have stood idle up to the next; after what is known it has not.
    const idle = since === beat ? BEAT : 0
    if (until - since < STRETCH + idle) return
    this.#knownUntil = until
    if (until - since >= STALL) this.#look([{ since, until }])
    else if (this.#waiting.length < MOST_WAITING) this.#waiting.push({ since, until })
  }

  #look(gaps: readonly Gap[]): void {
    const profiler = this.#profiler()
    const all = [...this.#waiting, ...gaps]
    this.#waiting = []
    this.#lookedAt = performance.now()
    for (const { since, until } of all) {
      for (const { job, attempt, held, samples, place } of profiler?.held(since, until) ?? []) {
        if (held < STRETCH * SURE || samples < SAMPLES) continue
        const stall = until - since >= STALL && held >= STALL * SURE
        this.#record(job as Deferral, attempt, held, stall, place)
      }
    }
  }

  #record(job: Deferral, attempt: number, held: number, stall: boolean, place: Place | undefined): void {
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
