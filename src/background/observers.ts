import type { AttemptEnd, Observer } from '../model/seam.ts'
import type { Outcome, State } from '../model/words.ts'
import type { Figures } from '../stats/figures.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { Deferral } from './deferral.ts'
import type { Events } from './events.ts'
import type { FailureLog } from './failure-log.ts'

/** What looks on for the event loop's sake. */
export interface LoopSide {
  attemptStarted(): void
  attemptEnding(job: Deferral, end: AttemptEnd): void
}

/**
 * All who look on, in order: telemetry, figures, the app's listeners, and last those who wait for the outcome. None of them
 * throws: what is not theirs (the SDK, listeners, loggers) each calls with care.
 */
export class Observers implements Observer<Deferral> {
  readonly #telemetry: Telemetry
  readonly #figures: Figures
  readonly #events: Events
  readonly #log: FailureLog
  readonly #loop: LoopSide
  /** Where somebody looks at the work. */
  inspection: { failed(job: Deferral): void } | undefined

  constructor(telemetry: Telemetry, figures: Figures, events: Events, log: FailureLog, loop: LoopSide) {
    this.#telemetry = telemetry
    this.#figures = figures
    this.#events = events
    this.#log = log
    this.#loop = loop
  }

  deferred(job: Deferral): void {
    this.#telemetry.deferred(job)
    this.#figures.deferred(job)
    this.#events.deferred(job)
  }

  taken(job: Deferral): void {
    this.#telemetry.taken(job)
    this.#figures.taken(job)
  }

  returned(job: Deferral, retried: boolean): void {
    this.#telemetry.returned(job)
    this.#figures.returned(job, retried)
    if (retried) this.#events.retrying(job)
    job.letGo()
  }

  lost(job: Deferral): void {
    this.#telemetry.lost(job)
  }

  entered(job: Deferral, state: State, from: State | undefined): void {
    this.#telemetry.entered(job, state, from)
    this.#figures.entered(job, state, from)
    this.#events.entered(job, state)
  }

  batchStarted(jobs: readonly Deferral[]): void {
    this.#telemetry.batchStarted(jobs)
  }

  attemptStarted(job: Deferral): void {
    this.#loop.attemptStarted()
    this.#telemetry.attemptStarted(job)
    this.#figures.attemptStarted(job)
    this.#events.attemptStarted(job)
  }

  attemptEnded(job: Deferral, end: AttemptEnd): void {
    // First, as long as the attempt's span is open.
    this.#loop.attemptEnding(job, end)
    this.#telemetry.attemptEnded(job, end)
    this.#figures.attemptEnded(job, end)
    this.#events.attemptEnded(job, end)
  }

  finished(job: Deferral, outcome: Outcome, from: State | undefined): void {
    this.#telemetry.finished(job, outcome, from)
    this.#figures.finished(job, outcome, from)
    this.#events.finished(job, outcome)
    this.#log.finished(job)
    if (outcome === 'failed') this.inspection?.failed(job)
    job.settle(outcome)
  }

  zombieEnded(job: Deferral): void {
    this.#telemetry.zombieEnded(job)
    this.#figures.zombieEnded(job)
  }

  retryRefused(job: Deferral): void {
    this.#telemetry.retryRefused(job)
    this.#figures.retryRefused(job)
  }

  deduplicated(job: Deferral): void {
    this.#telemetry.deduplicated(job)
    this.#figures.deduplicated(job)
  }
}
