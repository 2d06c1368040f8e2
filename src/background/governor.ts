import type { Clock } from '../model/clock.ts'
import type { Logger } from '../model/options.ts'
import { PRIORITIES, type Priority } from '../model/words.ts'
import { adapt, type ControlLaw, WORST } from '../scheduler/control-law.ts'
import type { Gate } from '../scheduler/gate.ts'
import { PriorityLimits } from '../scheduler/priority-limits.ts'
import type { DelayMeter } from '../telemetry/loop-delay.ts'
import { write } from './failure-log.ts'

/** How much of a new reading goes into the delay that is steered by. */
const SMOOTHING = 0.5
/** A reading in which nothing ran, since pauses are longer, is added to the next ones, up to so many ms. */
const PATIENCE = 1_000
/** The meter goes on for so long after the last attempt, to learn what is usual. ms. */
const AFTERWARDS = 1_000
/** From which length on, and up to which interruption, work counts as held back, ms: not each short pause. */
const HELD = 1_000
/** At most one pair of lines in this time, ms. */
const QUIET = 10_000

/** What the governor does at this moment. Durations in seconds. */
export interface GovernorFigures {
  /** The average delay of the event loop that tasks cause, of late. */
  readonly delay: number
  /** Above which less is started: `maxLoopDelay`. */
  readonly maxDelay: number
  /** How many attempts of a priority may run at once; below 1, one at a time with pauses. `concurrency` where it is not limited. */
  readonly limits: Readonly<Record<Priority, number>>
  /** Whether tasks wait because of it. */
  readonly holdsBack: boolean
  /** For how long tasks of this priority have been waiting because of it, one or another; null where none is. */
  readonly heldFor: Readonly<Record<Priority, number | null>>
}

interface GovernorParts {
  readonly clock: Clock
  /** ms. */
  readonly maxLoopDelay: number
  readonly concurrency: number
  readonly logger: Logger
  readonly resume: () => void
  /** Whether a task of this priority waits that may start but for a slot or a limit. */
  readonly waitsFor: (priority: Priority) => boolean
  readonly meter: (beat: number, worked: () => boolean) => DelayMeter
  readonly law?: ControlLaw | undefined
}

/** Keeps the delay that tasks cause below what is allowed: measures it while they run, and moves the limits of their priorities. */
export class Governor implements Gate {
  readonly #parts: GovernorParts
  readonly #limits: PriorityLimits
  readonly #meter: DelayMeter
  readonly #held: Record<Priority, { readonly since: number; readonly last: number } | undefined>
  #delay = 0
  /** The same as a share of what is allowed, by which is steered. */
  #pressure = 0
  /** What was measured since the last step: delay × ms, and ms. */
  #measured = { delay: 0, ms: 0 }
  #starts = 0
  #startsSeen = 0
  #ran = false
  #startsAtStep = 0
  #lastWork = 0
  #said = { at: Number.NEGATIVE_INFINITY, open: false }
  #lifted = false

  constructor(parts: GovernorParts) {
    const { clock, concurrency, resume, maxLoopDelay, meter } = parts
    this.#parts = parts
    this.#limits = new PriorityLimits(clock, concurrency, resume)
    this.#held = { high: undefined, medium: undefined, low: undefined }
    // Stretches that are shorter than twice the delay that is allowed cannot cause it, even without a pause between them.
    const beat = Math.min(10, Math.max(1, Math.floor(maxLoopDelay)))
    this.#meter = meter(beat, () => this.#worked())
  }

  admits(priority: Priority, now: number): boolean {
    return this.#limits.admits(priority, now)
  }

  started(priority: Priority, now: number): void {
    this.#starts++
    this.#limits.started(priority, now)
    if (!this.#lifted) this.#meter.start((delay, ms) => this.#measure(delay, ms))
  }

  ended(priority: Priority, ran: number, now: number): void {
    this.#limits.ended(priority, ran, now)
  }

  /** From now on it holds nothing back: the process ends, and what still fits in should be done. */
  lift(): void {
    this.#lifted = true
    this.#limits.lift()
    this.#rest()
  }

  /** How many attempts may run at once, over all priorities. */
  get limit(): number {
    const { concurrency } = this.#parts
    if (this.#lifted) return concurrency
    const sum = PRIORITIES.reduce((sum, priority) => sum + this.#limits.limitOf(priority), 0)
    return Math.min(concurrency, Math.max(1, Math.ceil(sum)))
  }

  read(): GovernorFigures {
    const figures = <T>(of: (priority: Priority) => T) => ({ high: of('high'), medium: of('medium'), low: of('low') })
    const heldFor = figures((priority) => this.#heldFor(priority))
    return {
      delay: this.#delay / 1000,
      maxDelay: this.#parts.maxLoopDelay / 1000,
      limits: figures((priority) => (this.#lifted ? this.#parts.concurrency : this.#limits.limitOf(priority))),
      holdsBack: PRIORITIES.some((priority) => heldFor[priority] !== null),
      heldFor,
    }
  }

  /** Whether an attempt ran since the last call: one that runs, one that has started, or one that ran then. */
  #worked(): boolean {
    const runs = this.#limits.running > 0
    const worked = runs || this.#ran || this.#starts !== this.#startsSeen
    this.#ran = runs
    this.#startsSeen = this.#starts
    return worked
  }

  #measure(delay: number, ms: number): void {
    const { clock, waitsFor } = this.#parts
    const now = clock.now()
    this.#measured.delay += delay * ms
    this.#measured.ms += ms
    this.#watch(now)
    const active = this.#limits.running > 0 || this.#starts !== this.#startsAtStep
    if (active) this.#lastWork = now
    if (active || this.#measured.ms >= PATIENCE) this.#step(now)
    if (now - this.#lastWork >= AFTERWARDS && !PRIORITIES.some(waitsFor)) this.#rest()
  }

  #step(now: number): void {
    const { maxLoopDelay, law } = this.#parts
    const delay = this.#measured.delay / this.#measured.ms
    this.#delay += SMOOTHING * (delay - this.#delay)
    // Beyond the worst there is nothing more to learn, and it would only be remembered for longer.
    this.#pressure += SMOOTHING * (Math.min(WORST, delay / maxLoopDelay) - this.#pressure)
    this.#measured = { delay: 0, ms: 0 }
    this.#startsAtStep = this.#starts
    const change = adapt(this.#limits.take(now), this.#pressure, law)
    if (change !== undefined) this.#limits.set(change.priority, change.limit)
  }

  /** Nothing runs and nothing waits. The limits stay: what was learned of the tasks holds when they come again. */
  #rest(): void {
    this.#meter.stop()
    this.#measured = { delay: 0, ms: 0 }
    this.#delay = 0
    this.#pressure = 0
    for (const priority of PRIORITIES) this.#held[priority] = undefined
    this.#say(this.#parts.clock.now())
  }

  #watch(now: number): void {
    for (const priority of PRIORITIES) {
      const held = this.#held[priority]
      if (this.#limits.wanting(priority) && this.#parts.waitsFor(priority)) {
        this.#held[priority] = { since: held?.since ?? now, last: now }
      } else if (held !== undefined && now - held.last >= HELD) {
        this.#held[priority] = undefined
      }
    }
    this.#say(now)
  }

  #heldFor(priority: Priority): number | null {
    const held = this.#held[priority]
    if (held === undefined) return null
    const time = this.#parts.clock.now() - held.since
    return time >= HELD ? time / 1000 : null
  }

  #say(now: number): void {
    const { logger, maxLoopDelay } = this.#parts
    const held = PRIORITIES.filter((priority) => this.#heldFor(priority) !== null)
    if (held.length > 0 && !this.#said.open && now - this.#said.at >= QUIET) {
      this.#said = { at: now, open: true }
      const delay = `${this.#delay.toFixed(1)} ms on average (governor.maxLoopDelay: ${maxLoopDelay} ms)`
      const line = `tasks of priority ${held.join(' and ')} are held back; tasks delay the event loop by ${delay}`
      write(logger, 'warn', `afterspan: ${line}`)
    } else if (held.length === 0 && this.#said.open) {
      this.#said.open = false
      const seconds = ((now - this.#said.at) / 1000).toFixed(1)
      write(logger, 'info', `afterspan: tasks are not held back any more, after ${seconds} s`)
    }
  }
}
