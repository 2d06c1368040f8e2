import type { LoggedAttempt } from '../stats/attempt-log.ts'
import { MEASURES, type Percentiles } from '../stats/part-ring.ts'
import type { SlotSketch } from '../stats/slot-sketch.ts'
import type { Chart } from '../stats/task-history.ts'
import { clean } from '../telemetry/names.ts'
import { knownOf, rowOf } from './now.ts'
import type { AttemptRow, Line, TaskDetail } from './protocol.ts'
import { epochOf, type Source } from './source.ts'

/** What *Task* shows; undefined where there is no such task. @param range Seconds. */
export function taskDetailOf(source: Source, name: string, range: 900 | 3600): TaskDetail | undefined {
  const { inspection, tasks } = source
  const snapshot = tasks.snapshot()
  const task = snapshot.tasks.find((task) => task.name === name)
  const known = task && knownOf(source, task)
  if (known === undefined) return undefined
  const { history } = known
  const now = inspection.clock.now()
  const chart = history.chart(now, range === 3600)
  const plan = inspection.plan(name)
  const batch = plan?.batch
  const rowOfAttempt = (logged: LoggedAttempt): AttemptRow => ({
    ...attemptRow(logged),
    profile: inspection.profiler?.keptOf(name, logged.id, logged.attempt) ?? null,
  })
  return {
    row: rowOf(source, snapshot, known),
    options: {
      priority: plan?.priority ?? 'medium',
      concurrency: plan === undefined || plan.concurrency === Number.POSITIVE_INFINITY ? null : plan.concurrency,
      timeout: plan?.timeout === undefined ? null : plan.timeout / 1000,
      attempts: plan?.retry.attempts ?? 1,
      batch: batch === undefined ? null : { maxSize: batch.maxSize, maxWait: batch.maxWait / 1000 },
    },
    charts: chartsOf(chart, (moment) => epochOf(inspection, moment) / 1000),
    histogram: histogramOf(chart.durations),
    errors: history.errors.read(now, range * 1000).map(({ type, count, lastAt, example }) => ({
      type,
      count,
      lastAt: epochOf(inspection, lastAt),
      example: {
        message: example.message,
        stack: example.stack ?? null,
        traceId: example.traceId ?? null,
        id: example.id,
      },
    })),
    slowest: history.attempts.slowest(now, range * 1000).map(rowOfAttempt),
    latest: history.attempts.latest().map(rowOfAttempt),
    failed: history.failed().map(({ id, at, attempts, error, traceId }) => ({
      id,
      at: epochOf(inspection, at),
      attempts,
      error,
      traceId: traceId ?? null,
      retryable: inspection.retryable(id),
    })),
  }
}

function attemptRow({
  id,
  attempt,
  at,
  wait,
  duration,
  result,
  error,
  route,
  traceId,
}: LoggedAttempt): Omit<AttemptRow, 'profile'> {
  return {
    id,
    attempt,
    at: Math.round(at),
    wait,
    duration,
    result,
    error: error ?? null,
    route: route === undefined ? null : clean(route),
    traceId: traceId ?? null,
  }
}

function chartsOf({ times, lengths, parts }: Chart, epochSeconds: (moment: number) => number): TaskDetail['charts'] {
  const perSecond = (of: 'completed' | 'failed' | 'retries'): Line =>
    parts.map(({ counts }, index) => counts[of] / (lengths[index]! / 1000))
  const quantile = (measure: (typeof MEASURES)[number], q: keyof Percentiles): Line =>
    parts.map(({ percentiles }) => percentiles[measure][q])
  const [wait, duration, effect] = MEASURES.map((measure) => ({
    p50: quantile(measure, 'p50'),
    p95: quantile(measure, 'p95'),
    p99: quantile(measure, 'p99'),
  }))
  return {
    times: times.map(epochSeconds),
    completed: perSecond('completed'),
    failed: perSecond('failed'),
    retries: perSecond('retries'),
    waiting: parts.map(({ waiting }) => waiting),
    running: parts.map(({ running }) => running),
    wait: wait!,
    duration: duration!,
    effect: effect!,
  }
}

/** Six to a factor of ten, round enough to be read. */
const STEPS = [1, 1.5, 2.2, 3.3, 4.7, 6.8]

/** Bars from the shortest duration to the longest. */
function histogramOf(durations: SlotSketch): TaskDetail['histogram'] {
  const bounds: number[] = []
  const counts: number[] = []
  let step = 0
  const boundOf = (index: number) => STEPS[index % STEPS.length]! * 10 ** (Math.floor(index / STEPS.length) - 6)
  for (const [upper, count] of durations.buckets()) {
    while (boundOf(step) < upper) {
      step++
      if (bounds.length > 0) {
        bounds.push(boundOf(step))
        counts.push(0)
      }
    }
    if (bounds.length === 0) {
      bounds.push(boundOf(step))
      counts.push(0)
    }
    counts[counts.length - 1]! += count
  }
  return { bounds, counts }
}
