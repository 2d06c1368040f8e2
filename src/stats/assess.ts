import { PRIORITIES, type Priority, type TaskMode } from '../model/words.ts'
import type { TaskFigures } from './figures.ts'

export type HealthStatus = 'ok' | 'degraded' | 'unhealthy'

/** From where on background work counts as degraded or unhealthy. */
export interface HealthLimits {
  /** Share of failed deferrals in the last five minutes, 0 to 1. */
  readonly failureRatio: { readonly degraded: number; readonly unhealthy: number }
  /** The ratio says nothing below this many completed or failed deferrals in the last five minutes. */
  readonly minimum: number
  /** Age of the oldest ready task, seconds. */
  readonly oldest: { readonly degraded: number; readonly unhealthy: number }
  /** Share of `queueLimit` that waits, 0 to 1; at 1 deferrals are dropped. */
  readonly queue: { readonly degraded: number; readonly unhealthy: number }
}

export const HEALTH_LIMITS: HealthLimits = {
  failureRatio: { degraded: 0.05, unhealthy: 0.5 },
  minimum: 5,
  oldest: { degraded: 30, unhealthy: 300 },
  queue: { degraded: 0.8, unhealthy: 1 },
}

/** For how long a priority may be held back by the governor, seconds. */
const HELD_BACK = 30

interface Assessed {
  readonly state: 'open' | 'draining' | 'closed'
  readonly queue: { readonly limit: number; readonly waiting: number }
  readonly concurrency: { readonly limit: number }
  readonly total: TaskFigures
  readonly tasks: readonly (TaskFigures & { readonly name: string; readonly mode: TaskMode })[]
  readonly engines: readonly {
    readonly task: string
    readonly system: string
    readonly up: boolean | null
    readonly holds: { readonly oldest: number } | null
  }[]
  readonly governor:
    | { readonly delay: number; readonly maxDelay: number; readonly heldFor: Readonly<Record<Priority, number | null>> }
    | undefined
  readonly heap: { readonly used: number; readonly limit: number; readonly guarded: boolean }
}

/** Judges the figures of one moment; each reason names the task, the figure and the limit that it crossed. */
export function assess(snapshot: Assessed, limits: HealthLimits): { status: HealthStatus; reasons: string[] } {
  const found: { level: 'degraded' | 'unhealthy'; reason: string }[] = []
  const judge = (value: number, limit: { degraded: number; unhealthy: number }, say: (limit: number) => string) => {
    if (value >= limit.unhealthy) found.push({ level: 'unhealthy', reason: say(limit.unhealthy) })
    else if (value >= limit.degraded) found.push({ level: 'degraded', reason: say(limit.degraded) })
  }
  if (snapshot.state !== 'open')
    found.push({ level: 'unhealthy', reason: `no new tasks are accepted: ${snapshot.state}` })
  for (const task of snapshot.tasks) {
    const { completed, failed } = task.recent
    if (task.failureRatio !== null && completed + failed >= limits.minimum) {
      const percent = `${(100 * task.failureRatio).toFixed(1)} %`
      judge(
        task.failureRatio,
        limits.failureRatio,
        (limit) =>
          `${task.name}: ${percent} of ${completed + failed} failed in the last 5 minutes (limit ${100 * limit} %)`,
      )
    }
    if (task.mode === 'paused') {
      // Never unhealthy: somebody wants it so, and a new process would start what waits.
      if (task.waiting > 0) found.push({ level: 'degraded', reason: `${task.name}: paused, ${task.waiting} wait` })
      continue
    }
    const oldest = task.oldestWaiting ?? 0
    judge(
      oldest,
      limits.oldest,
      (limit) => `${task.name}: the oldest task has been ready for ${oldest.toFixed(1)} s (limit ${limit} s)`,
    )
  }
  // Never unhealthy by what an engine does: no other process of this app would fare better.
  for (const { task, system, up, holds } of snapshot.engines) {
    if (up === false) found.push({ level: 'degraded', reason: `${task}: ${system} does not answer` })
    const waited = holds?.oldest ?? 0
    const { degraded } = limits.oldest
    if (waited >= degraded) {
      const reason = `${task}: the oldest task in ${system} has been waiting for ${waited.toFixed(1)} s (limit ${degraded} s)`
      found.push({ level: 'degraded', reason })
    }
  }
  for (const reason of heldBack(snapshot)) found.push({ level: 'degraded', reason })
  const { waiting, limit: queueLimit } = snapshot.queue
  judge(waiting / queueLimit, limits.queue, () => `${waiting} tasks wait of at most ${queueLimit}`)
  if (snapshot.total.zombies > 0) {
    const level = snapshot.total.zombies >= snapshot.concurrency.limit ? 'unhealthy' : 'degraded'
    found.push({
      level,
      reason: `${snapshot.total.zombies} handlers run on after their timeout or cancellation and keep their slots`,
    })
  }
  const status = found.some(({ level }) => level === 'unhealthy') ? 'unhealthy' : found.length > 0 ? 'degraded' : 'ok'
  return { status, reasons: found.map(({ reason }) => reason) }
}

/** Never unhealthy: what is held back is so for the requests' sake, which a process without it would not serve better. */
function* heldBack({ governor, heap }: Assessed): Iterable<string> {
  for (const priority of PRIORITIES) {
    const time = governor?.heldFor[priority] ?? 0
    if (governor === undefined || time < HELD_BACK) continue
    const delay = `${(1000 * governor.delay).toFixed(1)} ms (governor.maxLoopDelay ${1000 * governor.maxDelay} ms)`
    yield `tasks of priority ${priority} have been held back for ${time.toFixed(0)} s: tasks delay the event loop by ${delay}`
  }
  if (heap.guarded) {
    const share = `${((100 * heap.used) / heap.limit).toFixed(0)} %`
    yield `tasks of priority low are not started: the heap is at ${share} of its limit`
  }
}
