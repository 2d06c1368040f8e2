import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { Page } from '../dashboard.ts'
import { amplification, failureRatio, gained, oldest, quantile, RANGE, STEP, waiting } from '../expressions.ts'
import {
  BAD_COLOUR,
  ENGINE_STATE_COLOURS,
  GOOD,
  LINES,
  NEUTRAL,
  OUTCOME_COLOURS,
  PRIORITY_COLOURS,
  RESULT_COLOURS,
  STATE_COLOURS,
  WARNING,
} from '../palette.ts'
import { figure, heatmap, lines, PER_SECOND, TIMES, table, withLastWeek } from '../panels.ts'
import type { Parameters } from '../parameters.ts'
import { stepsOf } from '../steps.ts'
import { enginePanels } from './engines.ts'
import { blockedPanel, byTaskPanels } from './loop.ts'

const ENGINES_OFF = 'Off: this task runs on no engine'

/** One task: how it ends, how long it takes, why it fails, who asks for it. */
export function task(parameters: Parameters): Dashboard {
  const page = new Page(
    parameters,
    'task',
    'Afterspan / Task',
    'One task: how it ends, how long it takes, why it fails, who asks for it, and a trace of it in Jaeger.',
    { task: 'one', route: true },
  )
  const { effectWithin, oldest: stuck, amplification: storm } = parameters.thresholds
  const { ofTask, ofRoute } = page
  const failed = page.failuresInJaeger('${task}')
  const steps = stepsOf(parameters.thresholds)
  const byTask = byTaskPanels(ofTask, { cpu: 'How much CPU does it use?', heap: 'How much does it grow the heap?' })
  const engine = enginePanels(ofTask, parameters, ENGINES_OFF)
  const sumOf = (key: 'wait' | 'duration') => `sum (rate(${ofTask.histogram(key, 'sum')}[${STEP}]))`

  return page
    .panels(
      figure({
        title: 'Deferred',
        description: 'How many of this task were deferred per second in this time range.',
        unit: PER_SECOND,
        span: 3,
        height: 4,
        decimals: 2,
        steps: [[null, NEUTRAL]],
        queries: [{ name: 'deferred', expr: `sum (rate(${ofTask.of('deferred')}[${RANGE}]))` }],
      }),
      figure({
        title: 'Failure ratio',
        description:
          'Failed and dropped in all that completed, failed or were dropped. Click for the failed attempts in Jaeger.',
        unit: 'percentunit',
        span: 3,
        height: 4,
        decimals: 2,
        empty: 'None ended',
        steps: steps.failures,
        links: failed,
        queries: [{ name: 'failure ratio', expr: failureRatio(ofTask, RANGE) }],
      }),
      figure({
        title: 'Wait, duration, effect (p95)',
        description: `Wait: ready until started. Duration: one attempt. Effect: from the response to the outcome; to come within ${effectWithin} s.`,
        unit: 's',
        span: 6,
        height: 4,
        empty: 'It did not run',
        steps: steps.seconds,
        queries: (['wait', 'duration', 'effect'] as const).map((key) => ({
          name: key,
          expr: quantile(0.95, ofTask, key, RANGE),
        })),
      }),
      figure({
        title: 'Attempts',
        description: `1 when nothing is tried again. Over ${storm} for 10 minutes an alert fires: whatever this task calls is down, and retries add to its load.`,
        unit: TIMES,
        span: 3,
        height: 4,
        decimals: 2,
        empty: 'None ended',
        steps: [
          [null, GOOD],
          [1.2, WARNING],
          [storm, BAD_COLOUR],
        ],
        queries: [{ name: 'attempts per task', expr: amplification(ofTask, RANGE) }],
      }),
      figure({
        title: 'Waiting',
        description: 'Ready and not running: without a slot here, or in its engine.',
        unit: 'short',
        span: 3,
        height: 4,
        steps: [[null, NEUTRAL]],
        history: true,
        queries: [{ name: 'ready', expr: `sum (${waiting(ofTask)})` }],
      }),
      figure({
        title: 'Oldest',
        description: `The longest wait by now, for a slot here or in its engine. Over ${stuck} s an alert fires.`,
        unit: 's',
        span: 3,
        height: 4,
        steps: steps.age,
        queries: [{ name: 'oldest', expr: `max (${oldest(ofTask)})` }],
      }),
      figure({
        title: 'Zombies',
        description:
          'Attempts that timed out or were cancelled and run on, each in a slot. The handler ignores its signal: pass it to fetch, timers and queries.',
        unit: 'short',
        span: 3,
        height: 4,
        steps: [
          [null, GOOD],
          [1, BAD_COLOUR],
        ],
        queries: [{ name: 'zombies', expr: `sum (${ofTask.of('zombies')})` }],
      }),
      lines({
        title: 'How does it end?',
        description:
          'Tasks per second by outcome, and all of them a week ago as a faint line. What is handed off to an engine ends once more where it is run.',
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
        title: 'How long does an attempt run?',
        description:
          'Quantiles of attempts that ended well, and p95 a week ago as a faint line. Each dot is one attempt: click it to open its trace in Jaeger.',
        unit: 's',
        span: 12,
        height: 8,
        colours: { p50: LINES[0], p95: LINES[1], p99: LINES[2] },
        queries: [
          { name: 'p50', expr: quantile(0.5, ofTask, 'duration', STEP, { where: ['task_result="ok"'] }) },
          {
            name: 'p95',
            exemplars: true,
            expr: quantile(0.95, ofTask, 'duration', STEP, { where: ['task_result="ok"'] }),
          },
          { name: 'p99', expr: quantile(0.99, ofTask, 'duration', STEP, { where: ['task_result="ok"'] }) },
          ...withLastWeek('p95', (offset) =>
            quantile(0.95, ofTask, 'duration', STEP, { offset, where: ['task_result="ok"'] }),
          ).slice(1),
        ],
      }),
      heatmap({
        title: 'How are durations spread?',
        description:
          'All attempts by how long they ran: the brighter, the more. Two bands mean two kinds of work under one name. Each dot is one attempt: click it to open its trace.',
        unit: 's',
        span: 12,
        height: 11,
        query: {
          name: '{{le}}',
          exemplars: true,
          expr: `sum by (le) (increase(${ofTask.histogram('duration', 'bucket')}[${STEP}]))`,
        },
      }),
      lines({
        title: 'Why does it fail?',
        description:
          'Attempts in each step that ended in an error or a timeout, by type. An attempt that fails may be tried again: the outcome is in the panel above.',
        unit: 'short',
        span: 12,
        height: 11,
        look: 'bars',
        empty: 'No attempt failed',
        shadesOf: OUTCOME_COLOURS.failed,
        links: failed,
        queries: [
          {
            name: '{{error_type}}',
            expr: `sum by (error_type) (${gained(ofTask.of('attempts', 'task_result=~"error|timeout"'), STEP)}) > 0`,
          },
        ],
      }),
    )
    .row('Failures and retries')
    .panels(
      lines({
        title: 'How long do failing attempts run?',
        description:
          'p95 by result. Each dot is one failed attempt: click it to open its trace in Jaeger. Timeouts lie at the timeout; errors that come at once are refusals.',
        unit: 's',
        span: 12,
        height: 8,
        empty: 'No attempt failed',
        colours: RESULT_COLOURS,
        links: failed,
        queries: [
          {
            name: '{{task_result}}',
            exemplars: true,
            expr: quantile(0.95, ofTask, 'duration', STEP, {
              by: 'task_result',
              where: ['task_result=~"error|timeout"'],
            }),
          },
        ],
      }),
      lines({
        title: 'How do attempts end?',
        description: 'Attempts in each step by result.',
        unit: 'short',
        span: 6,
        height: 8,
        look: 'areas',
        colours: RESULT_COLOURS,
        queries: [{ name: '{{task_result}}', expr: `sum by (task_result) (${gained(ofTask.of('attempts'), STEP)})` }],
      }),
      lines({
        title: 'Do retries multiply the load?',
        description:
          'Attempts per task that ended: 1 without retries. Refused: retries that the budget did not allow, so that an outage is not multiplied.',
        unit: 'short',
        span: 6,
        height: 8,
        showSteps: true,
        steps: [
          [null, 'transparent'],
          [storm, WARNING],
        ],
        colours: { 'attempts per task': LINES[0], 'refused per second': OUTCOME_COLOURS.failed },
        queries: [
          { name: 'attempts per task', expr: amplification(ofTask, STEP) },
          { name: 'refused per second', expr: `sum (rate(${ofTask.of('retriesRefused')}[${STEP}]))` },
        ],
      }),
    )
    .row('Waiting')
    .panels(
      lines({
        title: 'Does it wait or does it run?',
        description:
          'The time of its attempts, split into waiting for a slot and running. Mostly waiting: more concurrency or instances help; mostly running: the work itself is slow.',
        unit: 's',
        span: 6,
        height: 8,
        look: 'share',
        colours: { waiting: STATE_COLOURS.ready, running: STATE_COLOURS.running },
        queries: [
          { name: 'waiting', expr: sumOf('wait') },
          { name: 'running', expr: sumOf('duration') },
        ],
      }),
      lines({
        title: 'How long does each priority wait?',
        description:
          'p95 from ready to started. Low ones wait longest, but are not starved: some slots go to the oldest.',
        unit: 's',
        span: 6,
        height: 8,
        colours: PRIORITY_COLOURS,
        queries: [
          {
            name: '{{task_priority}}',
            exemplars: true,
            expr: quantile(0.95, ofTask, 'wait', STEP, { by: 'task_priority' }),
          },
        ],
      }),
      lines({
        title: 'Where are unfinished ones?',
        description:
          'By state: held until the response is over, delayed on purpose, ready for a slot, running, or waiting for another attempt.',
        unit: 'short',
        span: 6,
        height: 8,
        look: 'areas',
        colours: STATE_COLOURS,
        queries: [{ name: '{{task_state}}', expr: `sum by (task_state) (${ofTask.of('pending')})` }],
      }),
      lines({
        title: 'How many are duplicates?',
        description:
          'Deferrals per second that found an unfinished one with the same key and got its handle: they are not run, and count as nothing else.',
        unit: PER_SECOND,
        span: 6,
        height: 8,
        colours: { deduplicated: LINES[0] },
        queries: [{ name: 'deduplicated', expr: `sum (rate(${ofTask.of('deduplicated')}[${STEP}]))` }],
      }),
    )
    .row('Event loop, CPU and heap')
    .panels(
      blockedPanel(ofTask, 'Does it block the event loop?', 8, 7),
      byTask.stretches,
      byTask.stalls,
      byTask.cpu,
      byTask.heap,
    )
    .row('Engine')
    .panels(
      lines({
        title: 'What does its engine hold?',
        description:
          'By state: waiting for a consumer, delayed on purpose or until the next attempt, active in a consumer, and failed for good, which are kept to be looked at.',
        unit: 'short',
        span: 8,
        height: 7,
        look: 'areas',
        empty: ENGINES_OFF,
        colours: ENGINE_STATE_COLOURS,
        queries: [{ name: '{{engine_state}}', expr: `max by (engine_state) (${ofTask.ofEngine('engineJobs')})` }],
      }),
      engine.oldest,
      engine.flow,
      engine.room,
      engine.up,
      engine.twice,
    )
    .row('Requests')
    .panels(
      table({
        title: 'Which routes ask for it?',
        description:
          'Tasks that ended in this time range, by the route that deferred them; without a route: deferred outside a request.',
        span: 12,
        height: 8,
        rows: [{ label: 'http_route', title: 'Route' }],
        sortBy: 'Tasks',
        columns: [
          {
            name: 'Tasks',
            unit: 'none',
            decimals: 0,
            width: 90,
            expr: `sum by (http_route) (${gained(ofRoute.histogram('effect', 'count'), RANGE)})`,
          },
          {
            name: 'Failed',
            unit: 'percentunit',
            decimals: 2,
            width: 90,
            cell: 'background',
            steps: steps.failures,
            expr: `sum by (http_route) (${gained(ofRoute.histogram('effect', 'count', 'task_outcome=~"failed|dropped"'), RANGE)}) / (sum by (http_route) (${gained(ofRoute.histogram('effect', 'count', 'task_outcome=~"completed|failed|dropped"'), RANGE)}) > 0)`,
          },
          {
            name: 'p50 effect',
            unit: 's',
            decimals: 2,
            width: 100,
            expr: quantile(0.5, ofRoute, 'effect', RANGE, { by: 'http_route' }),
          },
          {
            name: 'p95 effect',
            unit: 's',
            decimals: 2,
            width: 100,
            steps: steps.seconds,
            cell: 'background',
            expr: quantile(0.95, ofRoute, 'effect', RANGE, { by: 'http_route' }),
          },
        ],
      }),
      lines({
        title: 'How long until the effect, by route?',
        description:
          'p95 from the end of the response to the outcome. Each dot is one task: click it to open its trace in Jaeger.',
        unit: 's',
        span: 12,
        height: 8,
        queries: [
          {
            name: '{{http_route}}',
            exemplars: true,
            expr: quantile(0.95, ofRoute, 'effect', STEP, { by: 'http_route' }),
          },
        ],
      }),
    )
    .build()
}
