import type { EngineFigures, Snapshot } from '../background/public.ts'
import type { Place } from '../model/profiler.ts'
import { assess, HEALTH_LIMITS } from '../stats/assess.ts'
import { outcomesOf } from '../stats/history-counts.ts'
import { NO_QUANTILES } from '../stats/slot-sketch.ts'
import type { RecentFigures, TaskHistory } from '../stats/task-history.ts'
import { troubleOf } from '../stats/trouble.ts'
import { clean } from '../telemetry/names.ts'
import type { Blocker, Now, TaskRow } from './protocol.ts'
import type { Source } from './source.ts'

const BLOCKERS = 10

/** What *Now* shows. */
export function nowOf(source: Source): Now {
  const snapshot = source.tasks.snapshot()
  const { concurrency, queue, state, governor, heap } = snapshot
  const foreground = source.inspection.foreground.recent()
  const none = { running: NO_QUANTILES, idle: NO_QUANTILES }
  const known = snapshot.tasks.flatMap((task) => knownOf(source, task) ?? [])
  return {
    at: Date.now(),
    state,
    uptime: process.uptime(),
    health: assess(snapshot, HEALTH_LIMITS),
    concurrency: { limit: concurrency.limit, used: concurrency.used },
    queue: { limit: Number.isFinite(queue.limit) ? queue.limit : null, waiting: queue.waiting },
    governor:
      governor === undefined
        ? null
        : {
            delay: governor.delay,
            maxLoopDelay: governor.maxDelay,
            limits: governor.limits,
            holdsBack: governor.holdsBack,
          },
    heap: { used: heap.used, limit: heap.limit, guarded: heap.guarded },
    loop: { ...(foreground?.loopDelay ?? none), blockers: blockersOf(known) },
    requests: foreground?.request ?? none,
    tasks: known.map((task) => rowOf(source, snapshot, task)).sort(byTrouble),
  }
}

/** What *Now* is made of, for one task. */
export interface Known {
  readonly task: Snapshot['tasks'][number]
  readonly history: TaskHistory
  readonly recent: RecentFigures
}

/** undefined where nothing is known of the task. */
export function knownOf({ inspection }: Source, task: Known['task']): Known | undefined {
  const history = inspection.history(task.name)
  return history && { task, history, recent: history.recent(inspection.clock.now()) }
}

/** One line of *Now*. */
export function rowOf(
  { inspection }: Source,
  snapshot: Pick<Snapshot, 'engines' | 'concurrency'>,
  { task, history, recent }: Known,
): TaskRow {
  const engine = snapshot.engines.find((engine) => engine.task === task.name)
  const concurrency = Math.min(
    inspection.plan(task.name)?.concurrency ?? Number.POSITIVE_INFINITY,
    snapshot.concurrency.limit,
  )
  const { score, reasons } = troubleOf({
    mode: task.mode,
    figures: task,
    recent,
    concurrency,
    engine: engine && { system: engine.system, up: engine.up, oldest: engine.holds?.oldest ?? null },
  })
  return {
    name: task.name,
    mode: task.mode,
    ...(engine !== undefined && { engine: engineOf(engine) }),
    rate: rateOf(recent),
    failureRatio: task.failureRatio,
    failed: task.recent.failed,
    retries: recent.counts.retries,
    wait: recent.wait,
    duration: recent.duration,
    effect: recent.effect,
    waiting: task.waiting,
    oldest: task.oldestWaiting,
    running: task.running,
    zombies: task.zombies,
    sparkline: history.sparkline(inspection.clock.now()),
    trouble: score,
    reasons,
  }
}

function engineOf({ system, queue, up }: EngineFigures) {
  return { system, queue: clean(queue), up }
}

/** Outcomes per second. */
function rateOf({ counts, seconds }: RecentFigures): number {
  return outcomesOf(counts) / Math.max(1, seconds)
}

/** What needs attention first; of the rest, what failed, and what does most. */
function byTrouble(one: TaskRow, other: TaskRow): number {
  return (
    other.trouble - one.trouble ||
    other.failed - one.failed ||
    other.rate - one.rate ||
    (one.name < other.name ? -1 : 1)
  )
}

function blockersOf(known: readonly Known[]): Blocker[] {
  const found = known.flatMap(({ task, recent: { counts } }): Blocker[] => {
    if (counts.blocked === undefined) return []
    const { seconds, longest, stalls, place } = counts.blocked
    return [{ task: task.name, seconds, longest, stalls, place: place === undefined ? null : placeText(place) }]
  })
  return found.sort((one, other) => other.seconds - one.seconds).slice(0, BLOCKERS)
}

/** Relative to where the app was started: the end of a path is what one looks for, and columns are narrow. */
function fromHere(file: string): string {
  const path = file.startsWith('file://') ? file.slice('file://'.length) : file
  const here = `${process.cwd()}/`
  return path.startsWith(here) ? path.slice(here.length) : path
}

function placeText({ name, file, line }: Place): string {
  if (file === undefined) return clean(name)
  return clean(`${name} (${fromHere(file)}${line === undefined ? '' : `:${line}`})`)
}
