import { foregroundTax } from '../expressions.ts'
import { named, type Parameters } from '../parameters.ts'
import {
  BAD,
  bucketUpTo,
  by,
  ENDED,
  type RecordedName,
  Series,
  WINDOWS,
  type Window,
  withSelectors,
} from '../series.ts'
import type { Group, Rule } from './rule.ts'

/**
 * What the SLO dashboard, the error budget and the burn-rate alerts repeat: for each window the rates of bad and of all
 * events and their ratio, per job and task. And what background work costs the requests of a job, which is too much to be
 * calculated anew for each look at the last weeks.
 */
export function recordingRules(parameters: Parameters): Group[] {
  const series = new Series(parameters)
  const per = `sum ${by(parameters, 'job', 'task_name')}`

  const rulesOf = (window: Window): Rule[] => {
    const record = (name: RecordedName, expr: string): Rule => ({ record: series.recordedName(name, window), expr })
    const rate = (selector: string) => `${per} (rate(${selector}[${window}]))`
    const ratio = (bad: RecordedName, all: RecordedName) =>
      `${series.recordedName(bad, window)} / (${series.recordedName(all, window)} > 0)`
    // Of the same series as those in time, so that both are of one moment whatever made the series.
    const completed = series.histogram('effect', 'bucket', 'task_outcome="completed"', 'le="+Inf"')
    const inTime = series.histogram(
      'effect',
      'bucket',
      'task_outcome="completed"',
      bucketUpTo(parameters.thresholds.effectWithin),
    )
    return [
      record('failures', rate(series.of('finished', BAD))),
      record('ends', rate(series.of('finished', ENDED))),
      record('failureRatio', ratio('failures', 'ends')),
      record('effects', rate(completed)),
      // Two rates over slightly different samples may differ by a rounding: never below 0.
      record('late', `clamp_min(${rate(completed)} - ${rate(inTime)}, 0)`),
      record('lateRatio', ratio('late', 'effects')),
    ]
  }
  const tax: Group = {
    name: named(parameters, 'foreground'),
    rules: [
      {
        record: series.recordedName('tax', '5m'),
        expr: foregroundTax(series, '5m', withSelectors(parameters, ['job'])),
      },
    ],
  }
  const ofTasks = WINDOWS.map((window) => ({
    name: named(parameters, `slo-${window}`),
    // A mean over hours changes little within a minute; the short windows follow Prometheus' own interval.
    ...(window.endsWith('m') ? {} : { interval: '1m' }),
    rules: rulesOf(window),
  }))
  return [...ofTasks, tax]
}
