import type { EngineTaskPlan } from '../../model/engine.ts'
import type { Priority } from '../../model/words.ts'
import type { PgBossSettings } from './options.ts'

/** pg-boss starts the greater first. Between them is room for the priorities of others. */
export const PRIORITY_NUMBERS: Readonly<Record<Priority, number>> = { high: 10, medium: 0, low: -10 }

/** pg-boss's most, for which its own workers can still set a timer, in s. */
const LONGEST_EXPIRY = 86_400
/** pg-boss's least, for a queue. A job may have less. */
const SHORTEST_QUEUE_HEARTBEAT = 10
/** How long a job may wait, in s: ten years. By default pg-boss deletes it after two weeks, and nobody is told. */
export const RETENTION = 315_360_000

/** Of a job, as pg-boss names them; times in s. */
export interface JobOptions {
  readonly retryLimit: number
  readonly retryDelay: number
  readonly retryBackoff: boolean
  readonly retryDelayMax: number | undefined
  readonly expireInSeconds: number
  readonly deleteAfterSeconds: number
  readonly heartbeatSeconds: number
}

/**
 * Consumers have the retries at Afterspan's own times, below a second too. These are for pg-boss's workers, which may
 * run the same jobs, and have whole seconds.
 */
export function jobOptions({ retry, timeout }: EngineTaskPlan, settings: PgBossSettings): JobOptions {
  const retryBackoff = retry.factor > 1
  // The process that runs a job keeps it by its heartbeat, and moves this end on: see the statement `touch`.
  const longest = timeout === undefined ? LONGEST_EXPIRY : Math.ceil((timeout + settings.lock) / 1000)
  return {
    // While no consumer lives, pg-boss's supervision finds the jobs of those that were lost, and has a job fail for good that
    // has no retries left. How many attempts a job may have stands in its envelope.
    retryLimit: retry.attempts - 1 + settings.maxRedeliveries,
    retryDelay: Math.max(1, Math.ceil(retry.initial / 1000)),
    retryBackoff,
    retryDelayMax: retryBackoff ? Math.max(1, Math.ceil(retry.max / 1000)) : undefined,
    expireInSeconds: Math.min(LONGEST_EXPIRY, longest),
    deleteAfterSeconds: settings.keepCompleted,
    heartbeatSeconds: heartbeatSeconds(settings.lock),
  }
}

/** Options with which the queue is made: what jobs of pg-boss's own producers get. */
export function queueOptions({ retryDelayMax, ...job }: JobOptions, attempts: number): object {
  return {
    ...job,
    retryLimit: attempts - 1,
    ...(retryDelayMax !== undefined && { retryDelayMax }),
    heartbeatSeconds: Math.max(SHORTEST_QUEUE_HEARTBEAT, job.heartbeatSeconds),
    retentionSeconds: RETENTION,
    // They are to wake consumers at once.
    notify: true,
  }
}

/**
 * pg-boss's supervision has a job fail that is silent for so long, in s. A consumer gives it to somebody else after two
 * thirds of it, which is the lock, and so comes first; a worker of pg-boss's own gives a sign of life after each half.
 */
export function heartbeatSeconds(lock: number): number {
  return Math.max(2, Math.ceil((lock * 1.5) / 1000))
}
