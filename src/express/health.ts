import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Snapshot } from '../background/public.ts'
import type { Tasks } from '../background/tasks.ts'
import { checkNumber, checkObject } from '../model/check.ts'
import { assess, HEALTH_LIMITS, type HealthLimits, type HealthStatus } from '../stats/assess.ts'
import { checkTasks } from './middleware.ts'

/** Options of `health`: limits in place of the defaults. */
export interface HealthOptions {
  /** Share of failed deferrals in the last five minutes, 0 to 1. Default `{ degraded: 0.05, unhealthy: 0.5 }`. */
  failureRatio?: Partial<HealthLimits['failureRatio']>
  /** Completed or failed deferrals in five minutes below which the ratio is not judged. Default 5. */
  minimum?: number
  /** Age of the oldest ready task in seconds; in an engine it is `degraded` at most. Default `{ degraded: 30, unhealthy: 300 }`. */
  oldest?: Partial<HealthLimits['oldest']>
  /** Share of `queueLimit` that waits, 0 to 1. Default `{ degraded: 0.8, unhealthy: 1 }`. */
  queue?: Partial<HealthLimits['queue']>
}

/** What `health` answers. Durations are in seconds. */
export interface HealthReport extends Snapshot {
  readonly status: HealthStatus
  /** Why it is not `ok`. */
  readonly reasons: readonly string[]
}

/**
 * A handler that answers with the figures of all tasks as JSON: 200 for `ok` and `degraded`, 503 for `unhealthy`.
 *
 * @throws AfterspanError ERR_AFTERSPAN_TASKS, ERR_AFTERSPAN_OPTION.
 */
export function health(tasks: Tasks, options?: HealthOptions): (req: IncomingMessage, res: ServerResponse) => void {
  checkTasks('health', tasks)
  const limits = resolve(options)
  return function afterspanHealth(_req, res) {
    const snapshot = tasks.snapshot()
    const report: HealthReport = { ...assess(snapshot, limits), ...snapshot }
    res.statusCode = report.status === 'unhealthy' ? 503 : 200
    res.setHeader('Content-Type', 'application/json; charset=utf-8')
    res.setHeader('Cache-Control', 'no-store')
    res.end(JSON.stringify(report, finite))
  }
}

/** JSON has no Infinity; a limit that is none is null. */
function finite(_key: string, value: unknown): unknown {
  return value === Number.POSITIVE_INFINITY ? null : value
}

function resolve(options: HealthOptions | undefined): HealthLimits {
  const given = checkObject('options', options, ['failureRatio', 'minimum', 'oldest', 'queue'])
  const pair = (name: 'failureRatio' | 'oldest' | 'queue', max: number) => {
    const levels = checkObject(name, given[name], ['degraded', 'unhealthy'])
    return {
      degraded: checkNumber(`${name}.degraded`, levels.degraded, { min: 0, max }) ?? HEALTH_LIMITS[name].degraded,
      unhealthy: checkNumber(`${name}.unhealthy`, levels.unhealthy, { min: 0, max }) ?? HEALTH_LIMITS[name].unhealthy,
    }
  }
  return {
    failureRatio: pair('failureRatio', 1),
    minimum: checkNumber('minimum', given.minimum, { min: 1, max: Number.POSITIVE_INFINITY }) ?? HEALTH_LIMITS.minimum,
    oldest: pair('oldest', Number.POSITIVE_INFINITY),
    queue: pair('queue', 1),
  }
}
