import type { HealthReport } from 'afterspan/express'
import { KINDS, type Kind } from '../kinds.ts'
import type { Seen } from './driver.ts'
import { parseMetrics, type Sample, sum } from './metrics-text.ts'

/** What the service says of itself. */
export interface Said {
  /** `/metrics` in the plain format. */
  readonly plain: string
  /** `/metrics` as OpenMetrics. */
  readonly openMetrics: string
  readonly health: HealthReport
  /** Files left in the directory of the uploads. */
  readonly uploadsLeft: number
}

/** One figure: what it must be, and what each place says; undefined where the place does not tell it. */
export interface Check {
  readonly about: string
  readonly what: string
  readonly expected: number
  readonly plain?: number | undefined
  readonly openMetrics?: number | undefined
  readonly health?: number | undefined
  /** For what is told nowhere but by the driver itself. */
  readonly driver?: number | undefined
  readonly ok: boolean
}

type Figures = HealthReport['tasks'][number]

const RESULTS = ['ok', 'error', 'timeout', 'cancelled'] as const
const STATES = ['held', 'delayed', 'ready', 'running', 'retrying'] as const
const TASK = 'afterspan_task'
const ROUTE = '/images'

/** Holds what the service says against what was sent and seen. */
export function verify(seen: Seen, said: Said): Check[] {
  const plain = parseMetrics(said.plain)
  const openMetrics = parseMetrics(said.openMetrics)
  const kinds = Object.keys(KINDS) as Kind[]
  return [
    ...kinds.flatMap((kind) => checksOf(kind, seen, plain, openMetrics, said.health)),
    ...checksOfAll(seen, plain, openMetrics, said),
  ]
}

function checksOf(kind: Kind, seen: Seen, plain: Sample[], openMetrics: Sample[], health: HealthReport): Check[] {
  const name = KINDS[kind].name
  const images = [...seen.images.values()].filter((image) => image.kind === kind)
  const finals = images.flatMap(({ final }) => (final === undefined ? [] : [final]))
  const attempts = finals.flatMap((final) => final.attempts)
  const dropped = seen.turnedAway.get(kind) ?? 0
  const outcomes = {
    completed: finals.filter(({ status }) => status === 'done').length,
    failed: finals.filter(({ status }) => status === 'failed').length,
    dropped,
    cancelled: 0,
  }
  const figures = health.tasks.find((task) => task.name === name)
  const series = (what: string, labels: Record<string, string> = {}, ifMissing?: 0) => ({
    plain: sum(plain, `${TASK}_${what}`, { task_name: name, ...labels }) ?? ifMissing ?? Number.NaN,
    openMetrics: sum(openMetrics, `${TASK}_${what}`, { task_name: name, ...labels }) ?? ifMissing ?? Number.NaN,
  })
  const inHealth = (read: (figures: Figures) => number) => (figures === undefined ? Number.NaN : read(figures))
  const checks: Check[] = []
  const check = (what: string, expected: number, measured: Omit<Check, 'about' | 'what' | 'expected' | 'ok'>) =>
    checks.push(judge({ about: name, what, expected, ...measured }))

  check('deferred', images.length + dropped, { ...series('deferred_total'), health: inHealth((f) => f.deferred) })
  for (const [outcome, expected] of Object.entries(outcomes)) {
    const key = outcome as keyof typeof outcomes
    check(outcome, expected, {
      ...series('finished_total', { task_outcome: outcome }),
      health: inHealth((f) => f[key]),
    })
  }
  for (const result of RESULTS) {
    check(`attempts, ${result}`, attempts.filter((attempt) => attempt.result === result).length, {
      ...series('attempts_total', { task_result: result }),
      health: inHealth((f) => f.attempts[result]),
    })
  }
  // A histogram has no series before its first value.
  check('waits in the histogram', attempts.length, {
    ...series('wait_seconds_count', { task_priority: KINDS[kind].options.priority ?? '' }, 0),
    health: inHealth((f) => f.wait.count),
  })
  check('durations in the histogram', attempts.length, {
    ...series('duration_seconds_count', {}, 0),
    health: inHealth((f) => f.duration.count),
  })
  check('effects, by their route', images.length + dropped, series('effect_seconds_count', { http_route: ROUTE }, 0))
  check('pending', 0, {
    ...series('pending'),
    health: inHealth((f) => STATES.reduce((total, state) => total + f.states[state], 0)),
  })
  return checks
}

function checksOfAll(seen: Seen, plain: Sample[], openMetrics: Sample[], said: Said): Check[] {
  const { health, uploadsLeft } = said
  const count = (counts: ReadonlyMap<unknown, number>) => [...counts.values()].reduce((total, n) => total + n, 0)
  const finals = [...seen.images.values()].flatMap(({ final }) => (final === undefined ? [] : [final]))
  const traces = new Set(finals.flatMap(({ traceId }) => traceId ?? []))
  const exemplars = openMetrics.flatMap(({ exemplar }) => exemplar?.trace_id ?? [])
  const total = (name: string) => ({
    plain: sum(plain, name, {}) ?? Number.NaN,
    openMetrics: sum(openMetrics, name, {}) ?? Number.NaN,
  })
  const about = 'all'
  return [
    judge({
      about,
      what: `tasks, ${count(seen.rejected)} rejected uploads made none`,
      expected: seen.images.size + count(seen.turnedAway),
      ...total(`${TASK}_deferred_total`),
      health: health.total.deferred,
    }),
    judge({
      about,
      what: 'slots in use',
      expected: 0,
      ...total('afterspan_concurrency_used'),
      health: health.concurrency.used,
    }),
    judge({ about, what: 'images without a final status', expected: 0, driver: seen.images.size - finals.length }),
    judge({
      about,
      what: 'results that are the image promised',
      expected: finals.filter(({ status }) => status === 'done').length,
      driver: seen.goodResults,
    }),
    // The trace of an upload that was turned away is known to nobody but the service.
    ...(seen.turnedAway.size === 0
      ? [
          judge({
            about,
            what: 'exemplars of unknown traces',
            expected: 0,
            openMetrics: exemplars.filter((id) => !traces.has(id)).length,
          }),
        ]
      : []),
    judge({ about, what: 'answers that were not as they must be', expected: 0, driver: seen.surprises.length }),
    judge({ about, what: 'uploads left on disk', expected: 0, driver: uploadsLeft }),
  ]
}

function judge(check: Omit<Check, 'ok'>): Check {
  const measured = [check.plain, check.openMetrics, check.health, check.driver].filter((value) => value !== undefined)
  return { ...check, ok: measured.length > 0 && measured.every((value) => value === check.expected) }
}
