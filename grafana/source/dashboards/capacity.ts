import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { ENGINE_STATES } from '../../../src/model/words.ts'
import { Page } from '../dashboard.ts'
import {
  foregroundTax,
  gained,
  RANGE,
  runningOfEngines,
  STEP,
  waitingInEngines,
  withAndWithout,
} from '../expressions.ts'
import { BAD_COLOUR, GOOD, LINES, STATE_COLOURS, WARNING } from '../palette.ts'
import { lines, PER_SECOND, table } from '../panels.ts'
import type { Parameters } from '../parameters.ts'
import { REAL_END } from '../series.ts'
import { LOOP_DELAY, stepsOf } from '../steps.ts'
import { enginePanels } from './engines.ts'
import { blockedPanel, byTaskPanels, governorPanels } from './loop.ts'

/** What stands in panels of options that are off. */
const ENGINES_OFF = 'Off: no task runs on an engine (define with engine)'
const RUNTIME_OFF = 'Off: npm install @opentelemetry/instrumentation-runtime-node'
/** What stands where one of the two kinds of requests, or both, are missing. */
const NO_REQUESTS = 'No request by the middleware in this time range'

/** Is there room, and what takes it? */
export function capacity(parameters: Parameters): Dashboard {
  const page = new Page(
    parameters,
    'capacity',
    'Afterspan / Capacity',
    'Is there room for the work that comes in? Slots, queues, event loop and memory of each instance, and what the engines hold.',
    {},
  )
  const { oldest, saturation } = parameters.thresholds
  const { all } = page
  const ready = all.of('pending', 'task_state="ready"')
  // What an engine gives to a process runs at once, in no slot.
  const started = all.inProcess(`rate(${all.histogram('wait', 'count')}[${STEP}])`)
  const inSlots = all.inProcess(`rate(${all.histogram('duration', 'sum')}[${STEP}])`)
  const engines = enginePanels(all, parameters, ENGINES_OFF)
  const ofSaturation = [
    [null, GOOD],
    [0.7, WARNING],
    [saturation, BAD_COLOUR],
  ] as const
  const ofTwice = [
    [null, GOOD],
    [1, WARNING],
  ] as const
  const ofLoop = [
    [null, GOOD],
    [LOOP_DELAY.warning, WARNING],
    [LOOP_DELAY.bad, BAD_COLOUR],
  ] as const
  const ofLoopLines = [[null, 'transparent'], ...ofLoop.slice(1)] as const
  const request = withAndWithout(0.95, all, 'request', STEP)
  const delay = withAndWithout(0.99, all, 'loopDelay', STEP)
  const byTask = byTaskPanels(all, { cpu: 'Who uses the CPU?', heap: 'Who grows the heap?' })

  return page
    .panels(
      table({
        title: 'Which instance is full?',
        description:
          'One row per process. Full slots and a quiet event loop: raise concurrency. A late event loop: the work blocks it; move it to worker threads or add instances. Guarded: the heap is nearly full, and low tasks do not start. Low limit: how many of them the governor lets run.',
        span: 24,
        height: 6,
        rows: [{ label: 'instance', title: 'Instance' }],
        sortBy: 'Slots taken',
        columns: [
          {
            name: 'Slots taken',
            unit: 'percentunit',
            decimals: 0,
            cell: 'bar',
            max: 1,
            steps: ofSaturation,
            width: 200,
            expr: `max by (instance) (${all.of('used')} / ${all.of('limit')})`,
          },
          { name: 'Limit', unit: 'short', width: 90, expr: `max by (instance) (${all.of('limit')})` },
          { name: 'Ready', unit: 'short', width: 90, expr: `sum by (instance) (${ready})` },
          {
            name: 'Oldest',
            unit: 's',
            width: 110,
            decimals: 1,
            cell: 'background',
            steps: stepsOf(parameters.thresholds).age,
            expr: `max by (instance) (${all.of('oldest')})`,
          },
          { name: 'Zombies', unit: 'short', width: 90, expr: `sum by (instance) (${all.of('zombies')})` },
          {
            name: 'Loop delay p99',
            unit: 's',
            decimals: 0,
            width: 130,
            cell: 'background',
            steps: ofLoop,
            expr: `max by (instance) (${all.foreign('nodejs_eventloop_delay_p99_seconds')})`,
          },
          {
            name: 'Heap used',
            unit: 'bytes',
            decimals: 0,
            width: 110,
            expr: `sum by (instance) (${all.foreign('v8js_memory_heap_used_bytes')})`,
          },
          {
            name: 'Guarded',
            unit: 'short',
            width: 85,
            cell: 'background',
            steps: [
              [null, GOOD],
              [1, WARNING],
            ],
            expr: `max by (instance) (${all.of('heapGuarded')})`,
          },
          {
            name: 'Low limit',
            unit: 'short',
            decimals: 2,
            width: 85,
            expr: `min by (instance) (${all.of('governorLimit', 'task_priority="low"')})`,
          },
          { name: 'Age', unit: 's', decimals: 0, width: 108, expr: `max by (instance) (${all.of('uptime')})` },
        ],
      }),
      lines({
        title: 'Are there free slots?',
        description:
          'Running attempts against the limit, over all instances. Taken at the limit while tasks are ready: tasks wait for each other.',
        unit: 'short',
        span: 8,
        height: 8,
        colours: { taken: STATE_COLOURS.running, limit: BAD_COLOUR },
        queries: [
          { name: 'taken', expr: `sum (${all.of('used')})` },
          { name: 'limit', expr: `sum (${all.of('limit')})` },
        ],
      }),
      lines({
        title: 'Where are unfinished tasks?',
        description:
          'By state: held until the response is over, delayed on purpose, ready for a slot, running, or waiting for another attempt.',
        unit: 'short',
        span: 8,
        height: 8,
        look: 'areas',
        colours: STATE_COLOURS,
        queries: [{ name: '{{task_state}}', expr: `sum by (task_state) (${all.of('pending')})` }],
      }),
      lines({
        title: 'When will the queue be empty?',
        description:
          'Ready tasks over the rate at which attempts start now: how long what waits will take if nothing more comes in. It grows without end: more comes in than is done.',
        unit: 's',
        span: 8,
        height: 8,
        showSteps: true,
        steps: [
          [null, 'transparent'],
          [oldest, WARNING],
        ],
        colours: { 'time to drain': LINES[0] },
        queries: [{ name: 'time to drain', expr: `sum (${ready}) / (sum ${started} > 0)` }],
      }),
      lines({
        title: 'Does more come in than is done?',
        description:
          'Tasks deferred and tasks that ended, per second; one that was handed to an engine ends where that has it run. A gap that stays is a queue that grows.',
        unit: PER_SECOND,
        span: 12,
        height: 8,
        colours: { deferred: LINES[0], finished: LINES[3] },
        queries: [
          { name: 'deferred', expr: `sum (rate(${all.of('deferred')}[${STEP}]))` },
          { name: 'finished', expr: `sum (rate(${all.of('finished', REAL_END)}[${STEP}]))` },
        ],
      }),
      lines({
        title: 'Which tasks hold the slots?',
        description:
          'Slots taken on average, by task: the seconds that its attempts ran, per second. Tasks on engines hold none; theirs are below.',
        unit: 'short',
        span: 12,
        height: 8,
        look: 'areas',
        queries: [{ name: '{{task_name}}', expr: `sum by (task_name) ${inSlots}` }],
      }),
    )
    .row('Event loop and memory')
    .panels(
      lines({
        title: 'Is the event loop late?',
        description:
          'p99 of the delay of timers, by instance; about 10 ms is idle, for that is how often it is measured. Requests wait as long. Needs @opentelemetry/instrumentation-runtime-node, which register takes up by itself.',
        unit: 's',
        span: 8,
        height: 8,
        empty: RUNTIME_OFF,
        showSteps: true,
        steps: ofLoopLines,
        queries: [
          { name: '{{instance}}', expr: `max by (instance) (${all.foreign('nodejs_eventloop_delay_p99_seconds')})` },
        ],
      }),
      lines({
        title: 'How busy is the event loop?',
        description:
          'The share of time in which it was not idle, by instance. Near 100 %: this process needs its CPU for something else than waiting.',
        unit: 'percentunit',
        span: 8,
        height: 8,
        max: 1,
        empty: RUNTIME_OFF,
        queries: [
          { name: '{{instance}}', expr: `max by (instance) (${all.foreign('nodejs_eventloop_utilization_ratio')})` },
        ],
      }),
      lines({
        title: 'Does memory grow?',
        description:
          'Heap in use and the resident memory of the process, by instance. A floor that rises from hour to hour is a leak; ready tasks that wait keep their payloads alive.',
        unit: 'bytes',
        span: 8,
        height: 8,
        empty: RUNTIME_OFF,
        queries: [
          { name: '{{instance}}', expr: `sum by (instance) (${all.foreign('v8js_memory_heap_used_bytes')})` },
          { name: '{{instance}} resident', expr: `max by (instance) (${all.foreign('process_memory_usage_bytes')})` },
        ],
      }),
    )
    .row('By task')
    .panels(
      blockedPanel(all, 'Who blocks the event loop?', 8, 7, [page.taskOfLine()]),
      byTask.stretches,
      byTask.stalls,
      byTask.cpu,
      byTask.heap,
    )
    .row('What do requests pay?')
    .panels(
      lines({
        title: 'How long do requests take?',
        description:
          'p95 of the requests during which a task ran, and of those during which none did; errors are left out. Long ones meet a task more often, so the gap is what background work costs at the most: compare it with the panels beside it.',
        unit: 's',
        span: 8,
        height: 7,
        empty: NO_REQUESTS,
        colours: { 'while tasks ran': STATE_COLOURS.running, 'while none ran': LINES[3] },
        queries: [
          { name: 'while tasks ran', expr: request.ran },
          { name: 'while none ran', expr: request.none },
        ],
      }),
      lines({
        title: 'What is the foreground tax?',
        description:
          'The difference of the two, by instance; less than nothing is chance, and shown as 0. With few requests all of it is. High, and the event loop is later while tasks run: see who blocks it. High, and it is not: they share something else, such as a database.',
        unit: 's',
        span: 8,
        height: 7,
        empty: 'Needs requests while tasks run, and while none does',
        queries: [{ name: '{{instance}}', expr: `clamp_min(${foregroundTax(all, STEP, 'instance')}, 0)` }],
      }),
      lines({
        title: 'Is the loop later while tasks run?',
        description:
          'p99 of how late a timer came that is set 50 times a second, while tasks ran and while none did. Both high: the requests themselves, the garbage collector or another process hold it.',
        unit: 's',
        span: 8,
        height: 7,
        empty: 'No process reports it',
        showSteps: true,
        steps: ofLoopLines,
        colours: { 'while tasks ran': STATE_COLOURS.running, 'while none ran': LINES[3] },
        queries: [
          { name: 'while tasks ran', expr: delay.ran },
          { name: 'while none ran', expr: delay.none },
        ],
      }),
    )
    .row('Governor and heap guard')
    .panels(...governorPanels(all))
    .row('Engines')
    .panels(
      table({
        title: 'What do the engines hold?',
        description:
          'One row per task that runs on an engine. Many wait and attempts are at the limit: more consumers. Limit 0: nobody consumes. No answer: so many processes do not hear from it. Failed ones are kept in the engine to be looked at.',
        span: 24,
        height: 7,
        empty: ENGINES_OFF,
        rows: [{ label: 'task_name', title: 'Task' }],
        sortBy: 'Waiting',
        columns: [
          ...ENGINE_STATES.map((state) => ({
            name: `${state[0]!.toUpperCase()}${state.slice(1)}`,
            unit: 'short',
            width: 80,
            expr: `max by (task_name) (${all.ofEngine('engineJobs', `engine_state="${state}"`)})`,
          })),
          {
            name: 'Oldest',
            unit: 's',
            decimals: 1,
            width: 100,
            cell: 'background',
            steps: stepsOf(parameters.thresholds).age,
            expr: `max by (task_name) (${all.ofEngine('engineOldest')})`,
          },
          { name: 'Running', unit: 'short', width: 80, expr: `sum by (task_name) (${runningOfEngines(all)})` },
          {
            name: 'Limit',
            unit: 'short',
            width: 80,
            expr: `sum by (task_name) (${all.of('engineConcurrency')})`,
          },
          {
            name: 'No answer',
            unit: 'short',
            width: 100,
            cell: 'background' as const,
            steps: [
              [null, GOOD],
              [1, BAD_COLOUR],
            ],
            expr: `sum by (task_name) (1 - ${all.of('engineUp')})`,
          },
          ...(['returned', 'redelivered', 'lost'] as const).map((key) => ({
            name: { returned: 'Returned', redelivered: 'Redelivered', lost: 'Lost' }[key],
            unit: 'none',
            decimals: 0,
            width: { returned: 100, redelivered: 110, lost: 80 }[key],
            ...(key !== 'returned' && { cell: 'background' as const, steps: ofTwice }),
            expr: `sum by (task_name) (${gained(all.of(key), RANGE)})`,
          })),
        ],
      }),
      lines({
        title: 'How many wait there?',
        description:
          'Tasks that wait in an engine and might run. It grows while consumers are full: more of them. It grows while they have room, or are none: see whether they run and reach the engine.',
        unit: 'short',
        span: 8,
        height: 7,
        look: 'areas',
        empty: ENGINES_OFF,
        queries: [{ name: '{{task_name}}', expr: waitingInEngines(all) }],
      }),
      engines.oldest,
      engines.flow,
      engines.room,
      engines.up,
      engines.twice,
    )
    .build()
}
