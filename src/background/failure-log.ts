import type { Clock } from '../model/clock.ts'
import { describeError } from '../model/describe-error.ts'
import type { Logger } from '../model/options.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import type { Deferral } from './deferral.ts'

/** At most one line per task in this time, ms. */
const QUIET = 10_000

/** Writes a line for failed and dropped tasks: without one, an app with no dashboard would never learn of them. */
export class FailureLog {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #last = new Map<string, { at: number; since: number }>()

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  finished(job: Deferral): void {
    if (job.outcome !== 'failed' && job.outcome !== 'dropped') return
    const now = this.#clock.now()
    const key = `${job.outcome} ${job.label}`
    const last = this.#last.get(key)
    if (last !== undefined && now - last.at < QUIET) {
      last.since++
      return
    }
    this.#last.set(key, { at: now, since: 0 })
    const { type, message } = describeError(job.error)
    const attempts = job.attempt > 1 ? ` after ${job.attempt} attempts` : ''
    const more = last !== undefined && last.since > 0 ? ` (and ${last.since} more since the last line)` : ''
    write(this.#logger, 'warn', `afterspan: task "${job.label}" ${job.outcome}${attempts}: ${type}: ${message}${more}`)
  }
}

/** Writes a line; a logger that throws is counted. */
export function write(logger: Logger, level: keyof Logger, line: string): void {
  try {
    logger[level](line)
  } catch {
    selfHealth.caught('logger')
  }
}
