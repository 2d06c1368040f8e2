import { blockedShare, quantile, STEP, stallsPerMinute } from '../expressions.ts'
import { LINES, PRIORITY_COLOURS, WARNING } from '../palette.ts'
import { type Link, lines, PER_MINUTE } from '../panels.ts'
import type { Series } from '../series.ts'
import { BLOCKED_SHARE, HELD_BELOW, percent } from '../steps.ts'

/** What stands in panels of what is measured only where something is loaded, used or switched on. */
const NOT_BLOCKED = 'No stretch of 20 ms; behind an await only the profiler sees one'
const NO_CPU = 'Not measured: no task in worker threads, and no profiler'
const NO_HEAP = 'Not measured: no attempt ran in a thread, or alone'
const GOVERNOR_OFF = 'Off: createTasks({ governor: { maxLoopDelay } })'
const GUARD_OFF = 'Off: heapGuard is false'

/** Who holds the event loop: on Overview and Capacity of all tasks, on Task of one. */
export function blockedPanel(series: Series, title: string, span: number, height: number, links: readonly Link[] = []) {
  return lines({
    title,
    description: `The share of the time in which a task held the event loop for 20 ms or more at once, in the instance where that is most; all else waits meanwhile. Over ${percent(BLOCKED_SHARE)} for ten minutes an alert fires. No data means that nothing did; what is done behind an await is seen only where the profiler runs.`,
    unit: 'percentunit',
    span,
    height,
    empty: NOT_BLOCKED,
    showSteps: true,
    steps: [
      [null, 'transparent'],
      [BLOCKED_SHARE, WARNING],
    ],
    links,
    queries: [{ name: '{{task_name}}', expr: blockedShare(series, STEP) }],
  })
}

/** What tasks take of the thread that they share with requests, by task: on Capacity of all, on Task of one. */
export function byTaskPanels(series: Series, titles: { cpu: string; heap: string }) {
  const height = 7
  const grown = (part: 'sum' | 'count', estimated: boolean) =>
    `sum by (task_name) (rate(${series.histogram('heap', part, `task_heap_estimated="${estimated}"`)}[${STEP}]))`
  const perAttempt = (estimated: boolean) => `${grown('sum', estimated)} / (${grown('count', estimated)} > 0)`
  return {
    stretches: lines({
      title: 'How long is it held at once?',
      description:
        'p99 of the stretches of 20 ms and more, and at most: the bound of the bucket in which the longest was. A request that comes then waits as long. Spread the work with awaits, or move it to a worker thread.',
      unit: 's',
      span: 8,
      height,
      empty: NOT_BLOCKED,
      queries: [
        { name: '{{task_name}}', expr: quantile(0.99, series, 'blocked', STEP, { by: 'task_name' }) },
        { name: '{{task_name}}, at most', expr: quantile(1, series, 'blocked', STEP, { by: 'task_name' }) },
      ],
    }),
    stalls: lines({
      title: 'How often does it stall?',
      description:
        'Stretches of more than 50 ms in a minute, over all instances. Each is an event of its span; in the log at most one line in ten seconds says whose it was and, with the profiler, in which function.',
      unit: PER_MINUTE,
      span: 8,
      height,
      empty: NOT_BLOCKED,
      queries: [{ name: '{{task_name}}', expr: stallsPerMinute(series, STEP) }],
    }),
    cpu: lines({
      title: titles.cpu,
      description:
        'CPU seconds per second: 1 is a core. Exact for tasks in worker threads; for the others by samples, only where the profiler runs. No data means that neither is so.',
      unit: 's',
      span: 12,
      height,
      look: 'areas',
      empty: NO_CPU,
      queries: [{ name: '{{task_name}}', expr: `sum by (task_name) (rate(${series.of('cpu')}[${STEP}]))` }],
    }),
    heap: lines({
      title: titles.heap,
      description:
        'By how much the heap grew in one attempt, on average. Exact in worker threads. An estimate elsewhere: of those attempts alone, at most one a second, during which nothing else ran. What grows is collected later; much of it keeps the collector busy.',
      unit: 'bytes',
      span: 12,
      height,
      empty: NO_HEAP,
      queries: [
        { name: '{{task_name}}', expr: perAttempt(false) },
        { name: '{{task_name}}, estimate', expr: perAttempt(true) },
      ],
    }),
  }
}

/** What holds background work back by itself. */
export function governorPanels(series: Series) {
  const shape = { span: 6, height: 7 } as const
  return [
    lines({
      ...shape,
      title: 'Which delay does the governor see?',
      description:
        'The average delay of the event loop that tasks cause, by which it steers, by instance. Above maxLoopDelay it lets less run. No data means that no instance has a governor.',
      unit: 's',
      empty: GOVERNOR_OFF,
      queries: [{ name: '{{instance}}', expr: `max by (instance) (${series.of('governorDelay')})` }],
    }),
    lines({
      ...shape,
      title: 'How much does it let run?',
      description:
        'Attempts that may run at once by priority, over the instances with a governor, and what they come to in slots. At the slots: it holds nothing back. Low goes down first; below 1 it runs one at a time, with pauses. No data means that no instance has a governor.',
      unit: 'short',
      empty: GOVERNOR_OFF,
      colours: { ...PRIORITY_COLOURS, slots: LINES[5] },
      queries: [
        { name: '{{task_priority}}', expr: `sum by (task_priority) (${series.of('governorLimit')})` },
        {
          name: 'slots',
          expr: `sum (${series.of('limit')} and ${series.on('job', 'instance')} ${series.of('governorDelay')})`,
        },
      ],
    }),
    lines({
      ...shape,
      title: 'What is held to the minimum?',
      description: `In how many instances a priority runs for less than ${percent(HELD_BELOW)} of the time. For half an hour while tasks wait, an alert fires: it does not help enough, so move the work or add instances. No data means that no instance has a governor.`,
      unit: 'short',
      empty: GOVERNOR_OFF,
      colours: PRIORITY_COLOURS,
      queries: [
        {
          name: '{{task_priority}}',
          expr: `sum by (task_priority) (${series.of('governorLimit')} < bool ${HELD_BELOW})`,
        },
      ],
    }),
    lines({
      ...shape,
      title: 'Is the heap guard active?',
      description:
        '1: the heap is nearly full, and tasks of low priority are not started until it has room again. For ten minutes: an alert fires. No data means that heapGuard is false.',
      unit: 'short',
      max: 1,
      empty: GUARD_OFF,
      queries: [{ name: '{{instance}}', expr: `max by (instance) (${series.of('heapGuarded')})` }],
    }),
  ]
}
