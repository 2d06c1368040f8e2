import { amplification as amplify, engineDown, engineNotConsumed, gainedByProcess, imbalance } from '../expressions.ts'
import { named, type Parameters } from '../parameters.ts'
import { BAD, bucketUpTo, by, Series, type Window } from '../series.ts'
import { BLOCKED_SHARE, HELD_BELOW, percent } from '../steps.ts'
import type { Group, Rule } from './rule.ts'

/** `critical`: work is being lost or stands still, wake somebody. `warning`: look at it in working hours. */
export type Severity = 'critical' | 'warning'

interface Alert {
  readonly alert: string
  readonly severity: Severity
  readonly expr: string
  readonly for?: string
  /** Keeps the alert from ending and coming back while the figure hovers at its threshold. */
  readonly keepFiringFor?: string
  readonly labels?: Readonly<Record<string, string>>
  /** One sentence with the names and the figure. */
  readonly summary: string
  /** What it means for users, and the first thing to look at. */
  readonly description: string
}

/** The pairs of windows, and how many times too fast the budget must be spent in both: chapter 5 of the SRE workbook. */
const BURNS: readonly { long: Window; short: Window; factor: number; severity: Severity; gone: string }[] = [
  { long: '1h', short: '5m', factor: 14.4, severity: 'critical', gone: 'two days' },
  { long: '6h', short: '30m', factor: 6, severity: 'critical', gone: 'five days' },
  { long: '3d', short: '6h', factor: 1, severity: 'warning', gone: 'thirty days' },
]

/** How long an attempt that was made twice is told of, in minutes. */
const TWICE_WITHIN = 15

/** Every alert is named in `docs/runbooks.md` under a heading of its own. */
export function alertRules(parameters: Parameters): Group[] {
  const { thresholds, runbooks } = parameters
  const series = new Series(parameters)
  const ofTask = by(parameters, 'job', 'task_name')
  const ofInstance = by(parameters, 'job', 'instance')
  const ofBoth = by(parameters, 'job', 'instance', 'task_name')
  const ofJob = by(parameters, 'job')
  // A task on an engine is sent by one service and often run by another.
  const anywhere = by(parameters, 'task_name')
  const { oldest, saturation, amplification, deadAfter, zombies, restarts, minimumBad } = thresholds

  const burns = BURNS.flatMap(({ long, short, factor, severity, gone }): Alert[] => {
    const both = (name: 'failureRatio' | 'lateRatio', objective: number, events: string) =>
      [
        `(${series.recordedName(name, long)} > ${factor} * (1 - ${objective}))`,
        `and (${series.recordedName(name, short)} > ${factor} * (1 - ${objective}))`,
        `and (${events} >= ${minimumBad})`,
      ].join('\n')
    const completed = 'task_outcome="completed"'
    const per = (selector: string) => `sum ${ofTask} (increase(${selector}[${long}]))`
    return [
      {
        alert: 'AfterspanFailureBudgetBurn',
        severity,
        labels: { window: long },
        keepFiringFor: '5m',
        expr: both('failureRatio', thresholds.failureObjective, per(series.of('finished', BAD))),
        summary: `{{ $value | humanizePercentage }} of {{ $labels.task_name }} in {{ $labels.job }} failed within ${long}`,
        description: `At this rate the error budget of 30 days is gone in ${gone}. See which errors on the dashboard Task.`,
      },
      {
        alert: 'AfterspanEffectBudgetBurn',
        severity,
        labels: { window: long },
        keepFiringFor: '5m',
        expr: both(
          'lateRatio',
          thresholds.effectObjective,
          `${per(series.histogram('effect', 'bucket', completed, 'le="+Inf"'))} - ${per(series.histogram('effect', 'bucket', completed, bucketUpTo(thresholds.effectWithin)))}`,
        ),
        summary: `{{ $value | humanizePercentage }} of {{ $labels.task_name }} in {{ $labels.job }} took over ${thresholds.effectWithin} s within ${long}`,
        description: `At this rate the budget for late effects of 30 days is gone in ${gone}. See on the dashboard Task whether it waits or runs.`,
      },
    ]
  })

  // Engines promise that each task is run, not that it is run once: all was done, so nobody is woken. Yet neither happens
  // where processes end in order and keep their locks, so a single one is worth a look.
  const twice = (['lost', 'redelivered'] as const).map(
    (counter): Alert => ({
      alert: 'AfterspanTaskRunTwice',
      severity: 'warning',
      labels: { counter },
      expr: `sum ${ofTask} (${gainedByProcess(series, series.of(counter), TWICE_WITHIN)}) > 0`,
      summary: {
        lost: 'Attempts of {{ $labels.task_name }} in {{ $labels.job }} that ran on without their lock: {{ printf "%.0f" $value }}',
        redelivered:
          'Taken anew by {{ $labels.job }}, since a process had not ended them: {{ printf "%.0f" $value }} {{ $labels.task_name }}',
      }[counter],
      description: {
        lost: 'The engine has given them to another process while they ran, so they were done twice. Most often the event loop is blocked.',
        redelivered:
          'A process that had taken them was killed or hung, so they were done in part or twice. See which has ended, and why.',
      }[counter],
    }),
  )

  const alerts: Alert[] = [
    ...burns,
    {
      alert: 'AfterspanQueueStuck',
      severity: 'critical',
      for: '2m',
      expr: `max ${ofBoth} (${series.of('oldest')}) > ${oldest}`,
      summary:
        '{{ $labels.task_name }} on {{ $labels.instance }} has waited {{ $value | humanizeDuration }} for a slot',
      description: `A task that is ready has not started for over ${oldest} s. See who holds the slots on the dashboard Capacity.`,
    },
    {
      alert: 'AfterspanTaskDead',
      severity: 'critical',
      for: '5m',
      // Held and delayed ones wait on purpose.
      expr: [
        `(sum ${ofTask} (increase(${series.of('deferred')}[${deadAfter}m])) > 0)`,
        `and (sum ${ofTask} (increase(${series.of('finished')}[${deadAfter}m])) == 0)`,
        `and (sum ${ofTask} (${series.of('pending', 'task_state=~"ready|running|retrying"')}) > 0)`,
      ].join('\n'),
      summary: '{{ $labels.task_name }} in {{ $labels.job }} is deferred but nothing of it finishes',
      description: `Nothing of it has ended for ${deadAfter} minutes, though there is work. It hangs, waits for slots, or is tried again and again.`,
    },
    {
      alert: 'AfterspanEngineDown',
      severity: 'critical',
      for: '3m',
      expr: engineDown(series, ofTask),
      summary: 'No process of {{ $labels.job }} gets an answer from the engine of {{ $labels.task_name }}',
      description:
        'What is deferred is dropped, or kept in memory as far as the buffer goes; nothing is taken. See whether the engine runs and can be reached.',
    },
    {
      alert: 'AfterspanEngineNotConsumed',
      severity: 'critical',
      for: '5m',
      expr: engineNotConsumed(series, anywhere),
      summary: 'No process takes {{ $labels.task_name }} from its engine; waiting there: {{ $value }}',
      description:
        'No process that reports runs this task: the workers are gone, or tasks.work() was not called for it. Start them.',
    },
    {
      alert: 'AfterspanEngineStuck',
      severity: 'critical',
      for: '2m',
      expr: `max ${anywhere} (${series.ofEngine('engineOldest')}) > ${oldest}`,
      summary: '{{ $labels.task_name }} has waited {{ $value | humanizeDuration }} in its engine',
      description: `It might have started over ${oldest} s ago. See on the dashboard Capacity whether its consumers are full, slow or away.`,
    },
    {
      alert: 'AfterspanSaturated',
      severity: 'warning',
      for: '10m',
      expr: [
        `(max ${ofInstance} (${series.of('used')} / ${series.of('limit')}) >= ${saturation})`,
        `and (sum ${ofInstance} (${series.of('pending', 'task_state="ready"')}) > 0)`,
      ].join('\n'),
      summary: '{{ $value | humanizePercentage }} of the slots on {{ $labels.instance }} are taken, and tasks wait',
      description:
        'Tasks wait for each other. Raise concurrency where the event loop has room; otherwise add instances.',
    },
    {
      alert: 'AfterspanLoopBlocked',
      severity: 'warning',
      keepFiringFor: '5m',
      // A process that answers no requests may use its event loop for tasks as it likes.
      expr: [
        `(sum ${ofBoth} (rate(${series.histogram('blocked', 'sum')}[10m])) > ${BLOCKED_SHARE})`,
        `and ${series.on('job', 'instance')} (sum ${ofInstance} (increase(${series.histogram('request', 'count')}[10m])) > 0)`,
      ].join('\n'),
      summary:
        '{{ $labels.task_name }} holds the event loop of {{ $labels.instance }} for {{ $value | humanizePercentage }} of the time',
      description: `Requests to this process wait as long: over ${percent(BLOCKED_SHARE)} within 10 minutes. Spread the work with awaits, or move it to worker threads.`,
    },
    {
      alert: 'AfterspanGovernorHoldsBack',
      severity: 'warning',
      for: '30m',
      // Held back while nothing waits harms nobody.
      expr: [
        `(min ${by(parameters, 'job', 'instance', 'task_priority')} (${series.of('governorLimit', 'task_priority=~"medium|low"')}) < ${HELD_BELOW})`,
        `and ${series.on('job', 'instance')} (sum ${ofInstance} (${series.of('pending', 'task_state="ready"')}) > 0)`,
      ].join('\n'),
      summary: 'The governor of {{ $labels.instance }} holds {{ $labels.task_priority }} tasks back, and tasks wait',
      description: `For 30 minutes they have run for less than ${percent(HELD_BELOW)} of the time, so that requests are not delayed. See what else delays them on the dashboard Capacity.`,
    },
    {
      alert: 'AfterspanHeapGuarded',
      severity: 'warning',
      for: '10m',
      expr: `max ${ofInstance} (${series.of('heapGuarded')}) == 1`,
      summary: 'The heap of {{ $labels.instance }} is nearly full, and low tasks do not start',
      description:
        'It has had no room for 10 minutes: a leak, too many payloads that wait, or too small a limit. When it is full the process ends, with what waits in it.',
    },
    {
      alert: 'AfterspanRetryStorm',
      severity: 'warning',
      for: '10m',
      expr: `${amplify(series, '10m', `sum ${ofTask}`)} > ${amplification}`,
      summary: '{{ $labels.task_name }} in {{ $labels.job }} takes {{ $value | humanize }} attempts per task',
      description:
        'What this task calls is most likely down, and retries add to its load. See the errors on the dashboard Task.',
    },
    {
      alert: 'AfterspanZombies',
      severity: 'warning',
      for: '5m',
      expr: `sum ${ofBoth} (${series.of('zombies')}) > ${zombies}`,
      summary: '{{ $value }} attempts of {{ $labels.task_name }} on {{ $labels.instance }} run on after their timeout',
      description: 'Each keeps a slot. The handler ignores its signal: pass it to what the handler waits for.',
    },
    ...twice,
    {
      alert: 'AfterspanRestarts',
      severity: 'warning',
      expr: `sum ${ofInstance} (resets(${series.of('uptime')}[15m])) >= ${restarts}`,
      summary: '{{ $labels.instance }} of {{ $labels.job }} has started anew {{ $value }} times in 15 minutes',
      description: 'Tasks that wait in a process end with it. See the log of the process for why it ended.',
    },
    {
      alert: 'AfterspanLedgerImbalance',
      severity: 'warning',
      for: '5m',
      expr: `abs(${imbalance(series, ofInstance)}) > 0`,
      summary: 'The ledger of {{ $labels.instance }} is off by {{ $value }}',
      description:
        'Tasks that came are not those that ended, went back or are unfinished: a fault of Afterspan. Its counts are not to be trusted.',
    },
    {
      alert: 'AfterspanTelemetryLoss',
      severity: 'warning',
      expr: `sum ${by(parameters, 'job', 'instance', 'reason')} (increase(${series.of('telemetryLost')}[10m])) > 0`,
      keepFiringFor: '10m',
      summary: '{{ $labels.instance }} has lost {{ $value | humanize }} spans in 10 minutes: {{ $labels.reason }}',
      description: 'Traces have holes; metrics do not. See whether the collector is up and keeps pace.',
    },
    {
      alert: 'AfterspanMetricsAbsent',
      severity: 'critical',
      for: '5m',
      // Gone from a service that had them within the last hour, or from all of Prometheus.
      expr: [
        `(count ${ofJob} (max_over_time(${series.of('limit')}[1h])) unless count ${ofJob} (${series.of('limit')}))`,
        `or absent(${series.of('limit')})`,
      ].join('\n'),
      summary:
        'No metrics of background work come from {{ if $labels.job }}{{ $labels.job }}{{ else }}any service{{ end }}',
      description:
        'The service is down, is not scraped, or no longer has Afterspan. No other alert can fire until this is mended.',
    },
  ]

  const rules = alerts.map(
    ({ alert, severity, expr, for: pending, keepFiringFor, labels, summary, description }): Rule => ({
      alert,
      expr,
      ...(pending !== undefined && { for: pending }),
      ...(keepFiringFor !== undefined && { keep_firing_for: keepFiringFor }),
      labels: { severity, ...labels },
      annotations: { summary, description, runbook_url: `${runbooks}#${alert.toLowerCase()}` },
    }),
  )
  return [{ name: named(parameters, 'alerts'), rules }]
}
