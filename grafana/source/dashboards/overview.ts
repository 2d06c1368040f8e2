import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { Page } from '../dashboard.ts'
import {
  engineDown,
  engineNotConsumed,
  failureRatio,
  gained,
  ofUndeclared,
  oldest,
  quantile,
  RANGE,
  STEP,
  undeclaredQuantile,
  waiting,
  waitingInEngines,
} from '../expressions.ts'
import { BAD_COLOUR, GOOD, LINES, NEUTRAL, OUTCOME_COLOURS, STATE_COLOURS, WARNING } from '../palette.ts'
import { figure, lines, PER_SECOND, table, withLastWeek } from '../panels.ts'
import type { Parameters } from '../parameters.ts'
import { REAL_END } from '../series.ts'
import { percent, stepsOf } from '../steps.ts'
import { blockedPanel } from './loop.ts'
import { budgetLeft } from './slo.ts'

/** Is background work healthy, and if not, which task? */
export function overview(parameters: Parameters): Dashboard {
  const page = new Page(
    parameters,
    'overview',
    'Afterspan / Overview',
    'Is the background work of these services healthy, and if not, which task is it? Click a task for its own page.',
    { task: 'many' },
  )
  const { failureObjective, effectObjective, effectWithin, oldest: stuck, saturation } = parameters.thresholds
  const steps = stepsOf(parameters.thresholds)
  const allowed = 1 - failureObjective
  const { ofTask, ofTaskAnywhere, all, recorded, recordedOfJobs } = page
  const uptime = all.of('uptime')
  const byTask = 'by (task_name)'
  const undeclared = (part: 'count' | 'sum') =>
    ofUndeclared(`sum by (http_route, span_name) (${gained(all.histogram('undeclared', part), RANGE)})`)

  return page
    .panels(
      figure({
        title: 'Failure ratio',
        description: `Failed and dropped tasks in all that completed, failed or were dropped in this time range. The objective allows ${percent(allowed)}. Above it: sort the table below by failures and open the task.`,
        unit: 'percentunit',
        span: 3,
        height: 4,
        decimals: 2,
        empty: 'No task ended',
        steps: steps.failures,
        queries: [{ name: 'failure ratio', expr: failureRatio(ofTask, RANGE) }],
      }),
      figure({
        title: 'Budget left',
        description: `How much of the failures that the objective of ${percent(failureObjective)} allows in 30 days is left. At 0 the objective is missed; see the SLO dashboard for what spent it. Made by the recording rules.`,
        unit: 'percentunit',
        span: 3,
        height: 4,
        decimals: 1,
        empty: 'Needs the recording rules',
        steps: steps.budget,
        queries: [{ name: 'left', expr: budgetLeft(recorded, 'failures', 'ends', failureObjective) }],
      }),
      figure({
        title: 'Wait, duration, effect (p95)',
        description: `The slowest twentieth. Wait: ready until started. Duration: one attempt. Effect: from the response to the outcome, which is what the customer waits for; ${percent(effectObjective)} are to come within ${effectWithin} s. A long wait with a short duration means too few slots or a blocked event loop: see Capacity.`,
        unit: 's',
        span: 6,
        height: 4,
        empty: 'No task ran',
        steps: steps.seconds,
        queries: (['wait', 'duration', 'effect'] as const).map((key) => ({
          name: key,
          expr: quantile(0.95, ofTask, key, RANGE),
        })),
      }),
      figure({
        title: 'Waiting',
        description:
          'Tasks that are ready and do not run: they have no slot yet, or wait in an engine. A number that grows means that work comes in faster than it is done: see Capacity.',
        unit: 'short',
        span: 3,
        height: 4,
        steps: [[null, NEUTRAL]],
        history: true,
        queries: [{ name: 'ready', expr: `sum (${waiting(ofTask)})` }],
      }),
      figure({
        title: 'Oldest',
        description: `How long the task that has been ready for the longest waits by now, here or in an engine. Over ${stuck} s the queue counts as stuck and an alert fires.`,
        unit: 's',
        span: 3,
        height: 4,
        steps: steps.age,
        queries: [{ name: 'oldest', expr: `max (${oldest(ofTask)})` }],
      }),
      figure({
        title: 'Saturation',
        description:
          'Slots taken in the fullest instance. At 100 % tasks wait for each other; raise concurrency where the event loop has room, otherwise add instances.',
        unit: 'percentunit',
        span: 3,
        height: 4,
        decimals: 0,
        max: 1,
        steps: [
          [null, GOOD],
          [0.7, WARNING],
          [saturation, BAD_COLOUR],
        ],
        queries: [{ name: 'saturation', expr: `max (${all.of('used')} / ${all.of('limit')})` }],
      }),
      figure({
        title: 'Starts',
        description:
          'Processes that were started, or started anew, in this time range. Work that waits in a process ends with it: starts that nobody asked for lose tasks.',
        unit: 'short',
        span: 3,
        height: 4,
        decimals: 0,
        steps: [
          [null, NEUTRAL],
          [4, WARNING],
        ],
        queries: [
          {
            name: 'starts',
            expr: `(sum (resets(${uptime}[${RANGE}])) or vector(0)) + (count((${uptime} < $__range_s) unless (${uptime} offset ${RANGE})) or vector(0))`,
          },
        ],
      }),
      table({
        title: 'Which task needs attention?',
        description:
          'One row per task over this time range, the one with most failures first. Click a name for the page of that task.',
        span: 17,
        height: 10,
        rows: [
          {
            label: 'task_name',
            title: 'Task',
            links: [
              { title: 'Open this task', url: page.urlOf('task', '&var-task=${__data.fields.Task}') },
              ...page.failuresInJaeger('${__data.fields.Task}'),
            ],
          },
        ],
        sortBy: 'Failed',
        columns: [
          {
            name: 'Rate',
            unit: PER_SECOND,
            decimals: 2,
            width: 75,
            expr: `sum by (task_name) (rate(${ofTask.of('finished', REAL_END)}[${RANGE}]))`,
          },
          {
            name: 'Failed',
            unit: 'percentunit',
            decimals: 2,
            width: 75,
            steps: steps.failures,
            cell: 'background',
            expr: failureRatio(ofTask, RANGE, 'task_name'),
          },
          ...(['wait', 'duration', 'effect'] as const).map((key) => ({
            name: `p95 ${key}`,
            unit: 's',
            width: { wait: 95, duration: 108, effect: 95 }[key],
            decimals: 2,
            ...(key === 'effect' && { steps: steps.seconds, cell: 'background' as const }),
            expr: quantile(0.95, ofTask, key, RANGE, { by: 'task_name' }),
          })),
          {
            name: 'Waiting',
            unit: 'short',
            width: 75,
            expr: `sum by (task_name) (${waiting(ofTask)})`,
          },
          {
            name: 'Oldest',
            unit: 's',
            width: 75,
            decimals: 1,
            steps: steps.age,
            cell: 'background',
            expr: `max by (task_name) (${oldest(ofTask)})`,
          },
          {
            name: 'Trend',
            unit: PER_SECOND,
            width: 130,
            trend: true,
            expr: `sum by (task_name) (rate(${ofTask.of('finished', REAL_END)}[${STEP}]))`,
          },
        ],
      }),
    )
    .stack(
      figure({
        title: 'Do engines answer, and workers run?',
        description:
          'The worst of the queues in engines. No answer: no process has heard from it in the last 35 s, and what is deferred is dropped or kept in memory. No workers: tasks wait and no process takes them. What they hold: Capacity.',
        unit: 'short',
        span: 7,
        height: 3,
        empty: 'No engine used',
        steps: [
          [null, GOOD],
          [1, BAD_COLOUR],
        ],
        mappings: { 0: 'Yes', 1: 'No workers', 2: 'No answer' },
        queries: [
          {
            name: 'engines',
            expr: [
              `max ((2 + (${engineDown(ofTask, byTask)}))`,
              `or (1 + 0 * (${engineNotConsumed(ofTask, byTask, ofTaskAnywhere)}))`,
              `or (0 * max ${byTask} (${ofTask.of('engineUp')})))`,
            ].join('\n'),
          },
        ],
      }),
      table({
        title: 'What is firing?',
        description:
          'Alerts of Afterspan that fire now. Each has a runbook: docs/runbooks.md, or the link in the alert.',
        span: 7,
        height: 7,
        rows: [
          { label: 'alertname', title: 'Alert', width: 165, shorten: 'Afterspan(.*)' },
          { label: 'task_name', title: 'Task', width: 105 },
        ],
        sortBy: 'Times',
        columns: [
          {
            name: 'Times',
            unit: 'short',
            width: 75,
            expr: `count by (alertname, task_name) (${page.alerts.foreign('ALERTS', 'alertname=~"Afterspan.*"', 'alertstate="firing"')})`,
          },
        ],
      }),
    )
    .panels(
      lines({
        title: 'How do tasks end?',
        description:
          'Tasks per second by outcome, and all of them a week ago as a faint line. Much less than last week with the same traffic: something no longer defers. What is handed off to an engine ends once more where it is run.',
        unit: PER_SECOND,
        span: 12,
        height: 8,
        look: 'areas',
        colours: OUTCOME_COLOURS,
        queries: [
          { name: '{{task_outcome}}', expr: `sum by (task_outcome) (rate(${ofTask.of('finished')}[${STEP}]))` },
          ...withLastWeek('all', (offset) => `sum (rate(${ofTask.of('finished')}[${STEP}]${offset}))`).slice(1),
        ],
      }),
      lines({
        title: 'Which share fails?',
        description: `Failed and dropped tasks in all that ended, and a week ago as a faint line. The dashed line is what the objective allows: ${percent(allowed)}.`,
        unit: 'percentunit',
        span: 12,
        height: 8,
        showSteps: true,
        steps: [
          [null, 'transparent'],
          [allowed, WARNING],
        ],
        colours: { 'failure ratio': OUTCOME_COLOURS.failed },
        queries: withLastWeek('failure ratio', (offset) => failureRatio(ofTask, STEP, '', offset)),
      }),
      lines({
        title: 'How long until the effect?',
        description: `p95 from the response to the outcome, of wait and of one attempt, and a week ago as faint lines. What is in the effect but not in the other two is delay, retries and their backoff.`,
        unit: 's',
        span: 12,
        height: 8,
        colours: { effect: LINES[0], wait: LINES[1], duration: LINES[2] },
        queries: (['effect', 'wait', 'duration'] as const).flatMap((key) =>
          withLastWeek(key, (offset) => quantile(0.95, ofTask, key, STEP, { offset })),
        ),
      }),
      lines({
        title: 'Where are unfinished tasks?',
        description:
          'By state: held until the response is over, delayed on purpose, ready for a slot, running, or waiting for another attempt; and what waits in engines.',
        unit: 'short',
        span: 12,
        height: 8,
        look: 'areas',
        colours: { ...STATE_COLOURS, 'in engines': LINES[4] },
        queries: [
          { name: '{{task_state}}', expr: `sum by (task_state) (${ofTask.of('pending')})` },
          { name: 'in engines', expr: `sum (${waitingInEngines(ofTask)})` },
        ],
      }),
    )
    .row('Requests')
    .panels(
      lines({
        title: 'What do requests pay?',
        description:
          'The foreground tax of each service: p95 of the requests during which a task ran, less that of those during which none did, and a week ago as a faint line. It grows: background work is in the way; see Capacity for how. Made by the recording rules.',
        unit: 's',
        span: 12,
        height: 8,
        empty: 'Needs the recording rules, and requests with and without tasks',
        queries: withLastWeek('{{job}}', (offset) => `clamp_min(${recordedOfJobs.recorded('tax', '5m')}${offset}, 0)`),
      }),
      blockedPanel(ofTask, 'Who blocks the event loop?', 12, 8, [page.taskOfLine()]),
    )
    .row('Work that nobody declared')
    .panels(
      table({
        title: 'What goes on after responses undeclared?',
        description:
          'Spans that ended after the response of their request and are no task, in this time range, those with most time first. Nothing limits this work, tries it again or waits for it at shutdown: wrap it as a task, see docs/undeclared.md. No data means that none was found, or that afterspan/register is not loaded, which looks for it.',
        span: 24,
        height: 7,
        empty: 'None found; only afterspan/register looks for it',
        rows: [
          { label: 'http_route', title: 'Route', width: 230 },
          { label: 'span_name', title: 'Span', width: 230 },
          { label: 'suggestion', title: 'Wrap it', width: 370 },
        ],
        sortBy: 'Time per second',
        columns: [
          {
            name: 'Times',
            unit: 'none',
            decimals: 0,
            width: 90,
            expr: `label_replace(${undeclared('count')}, "suggestion", "req.defer(fn), or tasks.track('$1', promise)", "span_name", "(.*)")`,
          },
          { name: 'Time per second', unit: 's', width: 140, expr: `${undeclared('sum')} / $__range_s` },
          { name: 'p95', unit: 's', decimals: 2, width: 90, expr: undeclaredQuantile(0.95, all, RANGE) },
          { name: 'At most', unit: 's', width: 90, expr: undeclaredQuantile(1, all, RANGE) },
        ],
      }),
      lines({
        title: 'How much time does it take?',
        description:
          'Seconds of it per second, by span: 1 is as if one such piece of work went on all the time. It grows with the traffic; that it grows faster means that it piles up.',
        unit: 's',
        span: 12,
        height: 7,
        look: 'areas',
        empty: 'None found; only afterspan/register looks for it',
        queries: [
          {
            name: '{{span_name}}',
            expr: `sum by (span_name) (rate(${all.histogram('undeclared', 'sum')}[${STEP}]))`,
          },
        ],
      }),
      lines({
        title: 'How long does it go on?',
        description:
          'p95 from the response to the end of the span. Each dot is one span: click it to open its trace in Jaeger.',
        unit: 's',
        span: 12,
        height: 7,
        empty: 'None found; only afterspan/register looks for it',
        queries: [
          {
            name: '{{span_name}}',
            exemplars: true,
            expr: quantile(0.95, all, 'undeclared', STEP, { by: 'span_name' }),
          },
        ],
      }),
    )
    .build()
}
