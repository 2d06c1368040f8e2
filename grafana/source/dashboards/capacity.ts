import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { Page } from '../dashboard.ts'
import { STEP } from '../expressions.ts'
import { BAD_COLOUR, GOOD, LINES, STATE_COLOURS, WARNING } from '../palette.ts'
import { figure, lines, PER_SECOND, table } from '../panels.ts'
import type { Parameters } from '../parameters.ts'
import { stepsOf } from '../steps.ts'

/** What stands in panels of options that are off. */
const WORKERS_OFF = 'Off: no task runs in worker threads (defineWorker)'
const PROFILER_OFF = 'Off: the profiler is not part of this version'
const ENGINES_OFF = 'Off: engines are not part of this version'
const RUNTIME_OFF = 'Off: npm install @opentelemetry/instrumentation-runtime-node'

/** Is there room, and what takes it? */
export function capacity(parameters: Parameters): Dashboard {
  const page = new Page(
    parameters,
    'capacity',
    'Afterspan / Capacity',
    'Is there room for the work that comes in? Slots, queues, event loop and memory of each instance.',
    {},
  )
  const { oldest, saturation } = parameters.thresholds
  const { all } = page
  const ready = all.of('pending', 'task_state="ready"')
  const started = `rate(${all.histogram('wait', 'count')}[${STEP}])`
  const ofSaturation = [
    [null, GOOD],
    [0.7, WARNING],
    [saturation, BAD_COLOUR],
  ] as const
  const ofLoop = [
    [null, GOOD],
    [0.05, WARNING],
    [0.2, BAD_COLOUR],
  ] as const

  return page
    .panels(
      table({
        title: 'Which instance is full?',
        description:
          'One row per process. Full slots and a quiet event loop: raise concurrency. A late event loop: the work blocks it; move it to worker threads or add instances.',
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
          { name: 'Age', unit: 's', decimals: 0, width: 110, expr: `max by (instance) (${all.of('uptime')})` },
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
        queries: [{ name: 'time to drain', expr: `sum (${ready}) / (sum (${started}) > 0)` }],
      }),
      lines({
        title: 'Does more come in than is done?',
        description:
          'Tasks deferred and tasks that reached their outcome, per second. A gap that stays is a queue that grows.',
        unit: PER_SECOND,
        span: 12,
        height: 8,
        colours: { deferred: LINES[0], finished: LINES[3] },
        queries: [
          { name: 'deferred', expr: `sum (rate(${all.of('deferred')}[${STEP}]))` },
          { name: 'finished', expr: `sum (rate(${all.of('finished')}[${STEP}]))` },
        ],
      }),
      lines({
        title: 'Which tasks hold the slots?',
        description: 'Slots taken on average, by task: the seconds that its attempts ran, per second.',
        unit: 'short',
        span: 12,
        height: 8,
        look: 'areas',
        queries: [
          { name: '{{task_name}}', expr: `sum by (task_name) (rate(${all.histogram('duration', 'sum')}[${STEP}]))` },
        ],
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
        steps: [
          [null, 'transparent'],
          [0.05, WARNING],
          [0.2, BAD_COLOUR],
        ],
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
        title: 'Does the heap grow?',
        description:
          'Heap in use, by instance. A floor that rises from hour to hour is a leak; ready tasks that wait keep their payloads alive.',
        unit: 'bytes',
        span: 8,
        height: 8,
        empty: RUNTIME_OFF,
        queries: [{ name: '{{instance}}', expr: `sum by (instance) (${all.foreign('v8js_memory_heap_used_bytes')})` }],
      }),
    )
    .row('By task')
    .panels(
      lines({
        title: 'Who blocks the event loop?',
        description: 'Seconds per second in which synchronous stretches of a task held the event loop.',
        unit: 's',
        span: 8,
        height: 7,
        empty: PROFILER_OFF,
        queries: [
          { name: '{{task_name}}', expr: `sum by (task_name) (rate(${all.reserved('blocked', '_sum')}[${STEP}]))` },
        ],
      }),
      lines({
        title: 'Who uses the CPU?',
        description: 'CPU seconds per second of tasks in worker threads: 1 is a core.',
        unit: 's',
        span: 8,
        height: 7,
        look: 'areas',
        empty: WORKERS_OFF,
        queries: [{ name: '{{task_name}}', expr: `sum by (task_name) (rate(${all.of('cpu')}[${STEP}]))` }],
      }),
      lines({
        title: 'Who grows the heap?',
        description:
          'Bytes per second by which the heaps of worker threads grew in attempts of a task. What grows is collected later; much of it keeps the collector busy.',
        unit: 'Bps',
        span: 8,
        height: 7,
        empty: WORKERS_OFF,
        queries: [
          { name: '{{task_name}}', expr: `sum by (task_name) (rate(${all.histogram('heap', 'sum')}[${STEP}]))` },
        ],
      }),
    )
    .row('Engines')
    .panels(
      lines({
        title: 'What do consumers take?',
        description: 'Tasks per second that these processes took from an engine.',
        unit: PER_SECOND,
        span: 12,
        height: 7,
        empty: ENGINES_OFF,
        queries: [{ name: '{{task_name}}', expr: `sum by (task_name) (rate(${all.of('taken')}[${STEP}]))` }],
      }),
      figure({
        title: 'Handed to engines',
        description: 'Tasks that were handed to an engine in this time range; whoever runs them counts their outcome.',
        unit: 'short',
        span: 12,
        height: 7,
        decimals: 0,
        queries: [
          { name: 'handed off', expr: `sum (increase(${all.of('finished', 'task_outcome="handed_off"')}[$__range]))` },
        ],
      }),
    )
    .build()
}
