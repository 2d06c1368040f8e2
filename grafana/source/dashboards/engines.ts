import { gained, runningOfEngines, STEP } from '../expressions.ts'
import { BAD_COLOUR, LINES, OUTCOME_COLOURS, STATE_COLOURS, WARNING } from '../palette.ts'
import { lines, PER_SECOND } from '../panels.ts'
import type { Parameters } from '../parameters.ts'
import type { Series } from '../series.ts'

/** What Capacity shows of all tasks on engines, and Task of one. `empty`: what stands there without any. */
export function enginePanels(series: Series, { thresholds }: Parameters, empty: string) {
  const { oldest } = thresholds
  const shape = { span: 8, height: 7, empty } as const
  return {
    oldest: lines({
      ...shape,
      title: 'How long does the oldest wait there?',
      description: `Age of the task that has been waiting in its engine for the longest; intended delay is not counted. Over ${oldest} s an alert fires: consumers are too few, too slow, or away.`,
      unit: 's',
      showSteps: true,
      steps: [
        [null, 'transparent'],
        [oldest, WARNING],
      ],
      queries: [{ name: '{{task_name}}', expr: `max by (task_name) (${series.ofEngine('engineOldest')})` }],
    }),
    flow: lines({
      ...shape,
      title: 'Do consumers keep up?',
      description:
        'Tasks per second that were handed to engines, that were taken from them, and that they have back: for another attempt, or because a process ended. Handed off above taken for long: the queue grows.',
      unit: PER_SECOND,
      colours: { 'handed off': OUTCOME_COLOURS.handed_off, taken: LINES[3], returned: LINES[2] },
      queries: [
        {
          name: 'handed off',
          expr: `sum (rate(${series.of('finished', 'task_outcome="handed_off"')}[${STEP}]) and ${series.on('job', 'instance', 'task_name')} ${series.of('engineUp')})`,
        },
        { name: 'taken', expr: `sum (rate(${series.of('taken')}[${STEP}]))` },
        { name: 'returned', expr: `sum (rate(${series.of('returned')}[${STEP}]))` },
      ],
    }),
    room: lines({
      ...shape,
      title: 'Are the consumers full?',
      description:
        'Attempts of tasks on engines that run, against how many may, over the chosen processes. Full while tasks wait: more consumers, or a higher concurrency in tasks.work(). Room while tasks wait: the consumer does not get them.',
      unit: 'short',
      colours: { running: STATE_COLOURS.running, limit: BAD_COLOUR },
      queries: [
        { name: 'running', expr: `sum (${runningOfEngines(series)})` },
        { name: 'limit', expr: `sum (${series.of('engineConcurrency')})` },
      ],
    }),
    up: lines({
      ...shape,
      title: 'Does the engine answer?',
      description:
        'The share of processes that have heard from their engine in the last 35 s. 0 %: it is down. Between: some processes cannot reach it; the table on Capacity and their logs say why.',
      unit: 'percentunit',
      max: 1,
      queries: [{ name: '{{task_name}}', expr: `avg by (task_name) (${series.of('engineUp')})` }],
    }),
    twice: lines({
      ...shape,
      title: 'What ran twice?',
      description:
        'In each step. Redelivered: a process took it before and never said how it ended, so it was killed. Lost: the lock of an attempt ran out while it ran, most often of a blocked event loop.',
      unit: 'short',
      look: 'bars',
      colours: { redelivered: LINES[1], lost: OUTCOME_COLOURS.failed },
      queries: [
        { name: 'redelivered', expr: `sum (${gained(series.of('redelivered'), STEP)})` },
        { name: 'lost', expr: `sum (${gained(series.of('lost'), STEP)})` },
      ],
    }),
  }
}
