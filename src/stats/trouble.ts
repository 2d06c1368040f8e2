import type { TaskMode } from '../model/words.ts'
import { HEALTH_LIMITS } from './assess.ts'
import type { TaskFigures } from './figures.ts'
import { outcomesOf } from './history-counts.ts'
import type { RecentFigures } from './task-history.ts'

/** What a task is judged by. */
export interface Troubled {
  readonly mode: TaskMode
  readonly figures: TaskFigures
  /** Of the last five minutes. */
  readonly recent: RecentFigures
  /** How many of its attempts may run at once. */
  readonly concurrency: number
  /** undefined where this process runs it. */
  readonly engine: { readonly system: string; readonly up: boolean | null; readonly oldest: number | null } | undefined
}

/** How much a task needs somebody's attention, and why. */
export interface Trouble {
  /** 0: all is well; below 0.5 degraded; from 0.5 on unhealthy; 1 at most. */
  readonly score: number
  /** In words, the worst first. */
  readonly reasons: readonly string[]
}

/** From when on a task that holds the event loop is shown, as a share of the time, and from when on it is bad. */
const BLOCKED = { degraded: 0.02, unhealthy: 0.2 }
/** The same for the share of attempts that had to be made again. */
const RETRIED = { degraded: 0.1, unhealthy: 1 }

/**
 * The score of a task is that of the worst thing about it. A figure with limits scores 0 below `degraded`, from 0.1 to 0.5 between
 * the two, in proportion, and from 0.5 on beyond `unhealthy`, nearing 1. The limits of failures and of age are those of `health`.
 */
export function troubleOf({ mode, figures, recent, concurrency, engine }: Troubled): Trouble {
  const found: { score: number; reason: string }[] = []
  const say = (score: number, reason: string) => void (score > 0 && found.push({ score, reason }))
  const { failureRatio, minimum, oldest } = HEALTH_LIMITS
  const { completed, failed } = figures.recent
  const { counts } = recent
  if (failed > 0) {
    const ratio = failed / (completed + failed)
    const few = completed + failed < minimum
    say(few ? 0.1 : scoreOf(ratio, failureRatio), `${percent(ratio)} failed (${failed} of ${completed + failed})`)
  }
  if (counts.dropped > 0) {
    say(0.5 + (0.5 * counts.dropped) / outcomesOf(counts), `${counts.dropped} dropped`)
  }
  const age = figures.oldestWaiting ?? 0
  if (mode !== 'paused') say(scoreOf(age, oldest), `ready for ${seconds(age)} and not started`)
  else say(0.2, figures.waiting > 0 ? `paused, ${figures.waiting} wait` : 'paused')
  if (mode === 'draining') say(0.1, 'draining: nothing new is accepted')
  if (figures.zombies > 0) {
    const share = figures.zombies / concurrency
    say(0.2 + 0.3 * Math.min(1, share), `${figures.zombies} run on after their timeout or cancellation`)
  }
  const attempts = recent.duration.count
  if (attempts >= minimum) {
    const ratio = counts.retries / attempts
    say(scoreOf(ratio, RETRIED), `${percent(ratio)} of attempts are made again`)
  }
  if (counts.refused > 0) say(0.3, `${counts.refused} retries refused: the retry budget is used up`)
  if (counts.blocked !== undefined) {
    const share = counts.blocked.seconds / recent.seconds
    say(
      scoreOf(share, BLOCKED),
      `holds the event loop ${percent(share)} of the time, up to ${seconds(counts.blocked.longest)}`,
    )
  }
  if (engine?.up === false) say(0.4, `${engine.system} does not answer`)
  const held = engine?.oldest ?? 0
  // Never unhealthy by what an engine does, as in `health`.
  if (held >= oldest.degraded) say(0.4, `waiting in ${engine?.system} for ${seconds(held)}`)
  found.sort((one, other) => other.score - one.score)
  return { score: found[0]?.score ?? 0, reasons: found.map(({ reason }) => reason) }
}

function scoreOf(value: number, { degraded, unhealthy }: { degraded: number; unhealthy: number }): number {
  if (value < degraded) return 0
  if (value < unhealthy) return 0.1 + (0.4 * (value - degraded)) / (unhealthy - degraded)
  return 1 - (0.5 * unhealthy) / value
}

function percent(share: number): string {
  const value = 100 * share
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} %`
}

function seconds(value: number): string {
  if (value < 1) return `${Math.round(1_000 * value)} ms`
  if (value < 120) return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`
  return value < 7_200 ? `${Math.round(value / 60)} min` : `${Math.round(value / 3_600)} h`
}
