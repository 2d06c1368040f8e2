import type { AttemptEnd, Observer } from '../model/seam.ts'
import type { Outcome, State } from '../model/words.ts'
import type { Figures } from '../stats/figures.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { Deferral } from './deferral.ts'
import type { Events } from './events.ts'
import type { FailureLog } from './failure-log.ts'

/** All who look on, in order: telemetry, figures, the app's listeners, and last those who wait for the outcome. */
export class Observers implements Observer<Deferral> {
  readonly #telemetry: Telemetry
  readonly #figures: Figures
  readonly #events: Events
  readonly #log: FailureLog

  constructor(telemetry: Telemetry, figures: Figures, events: Events, log: FailureLog) {
    this.#telemetry = telemetry
    this.#figures = figures
    this.#events = events
    this.#log = log
  }

  deferred(job: Deferral): void {
    this.#each((observer) => observer.deferred(job))
  }

  entered(job: Deferral, state: State, from: State | undefined): void {
    this.#each((observer) => observer.entered(job, state, from))
  }

  attemptStarted(job: Deferral): void {
    this.#each((observer) => observer.attemptStarted(job))
  }

  attemptEnded(job: Deferral, end: AttemptEnd): void {
    this.#each((observer) => observer.attemptEnded(job, end))
  }

  finished(job: Deferral, outcome: Outcome, from: State | undefined): void {
    this.#each((observer) => observer.finished(job, outcome, from))
    try {
      this.#log.finished(job)
    } catch {
      selfHealth.caught('logger')
    }
    job.settle(outcome)
  }

  zombieEnded(job: Deferral): void {
    this.#each((observer) => observer.zombieEnded(job))
  }

  retryRefused(job: Deferral): void {
    this.#each((observer) => observer.retryRefused(job))
  }

  deduplicated(job: Deferral): void {
    this.#each((observer) => observer.deduplicated(job))
  }

  /** An observer that throws must not keep the others, or the scheduler, from their work. */
  #each(tell: (observer: Observer<Deferral>) => void): void {
    try {
      tell(this.#telemetry)
    } catch {
      selfHealth.caught('metric')
    }
    try {
      tell(this.#figures)
      tell(this.#events)
    } catch {
      selfHealth.caught('stats')
    }
  }
}
