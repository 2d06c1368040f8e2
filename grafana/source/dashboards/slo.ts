import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { Page } from '../dashboard.ts'
import { gained, RANGE, sumBy } from '../expressions.ts'
import { BAD_COLOUR, GOOD, LINES, WARNING } from '../palette.ts'
import { figure, lines, note, TIMES, table } from '../panels.ts'
import type { Parameters } from '../parameters.ts'
import { BAD, type RecordedName, type Series, WINDOWS } from '../series.ts'
import { percent, stepsOf } from '../steps.ts'

const NO_RULES = 'Needs the recording rules: grafana/prometheus/rules/recording.yml'

/**
 * 1 - (share that was bad in 30 days) / (share that may be): 1 at first, 0 when the objective is just met. From the recorded
 * rates of 5 minutes, weighted by the traffic, so that a quiet night does not count like a busy day.
 */
export function budgetLeft(series: Series, bad: RecordedName, all: RecordedName, objective: number, by = ''): string {
  const sum = sumBy(by)
  const over = (name: RecordedName) => `${sum} (sum_over_time(${series.recorded(name, '5m')}[30d]))`
  return `1 - (${over(bad)} / (${over(all)} > 0)) / (1 - ${objective})`
}

/** How many times faster than allowed the budget is being spent: at 1 it lasts exactly 30 days. */
function burn(
  series: Series,
  bad: RecordedName,
  all: RecordedName,
  objective: number,
  window: (typeof WINDOWS)[number],
  by = '',
): string {
  const sum = sumBy(by)
  return `(${sum} (${series.recorded(bad, window)}) / (${sum} (${series.recorded(all, window)}) > 0)) / (1 - ${objective})`
}

/** How fast is the error budget spent, on what, and what is left? */
export function slo(parameters: Parameters): Dashboard {
  const page = new Page(
    parameters,
    'slo',
    'Afterspan / SLO',
    'How fast the error budgets for failures and for late effects are spent, what is left of them, and which task spends them.',
    { task: 'many' },
  )
  const { failureObjective, effectObjective, effectWithin } = parameters.thresholds
  const { recorded, ofTask } = page
  const steps = stepsOf(parameters.thresholds)
  const ofBurn = [
    [null, 'transparent'],
    [1, LINES[0]],
    [6, WARNING],
    [14.4, BAD_COLOUR],
  ] as const
  const cellOfBurn = [
    [null, 'transparent'],
    [1, '#6E6E6E'],
    [6, WARNING],
    [14.4, BAD_COLOUR],
  ] as const

  const kinds = [
    { title: 'failures', bad: 'failures', all: 'ends', objective: failureObjective },
    { title: 'late effects', bad: 'late', all: 'effects', objective: effectObjective },
  ] as const
  const heading = {
    failures: `At least ${percent(failureObjective)} of the tasks complete`,
    'late effects': `At least ${percent(effectObjective)} of the completed tasks have their effect within ${effectWithin} s`,
  }

  for (const { title, bad, all, objective } of kinds) {
    page.row(heading[title]).panels(
      figure({
        title: `Budget left for ${title}`,
        description: `Of what the objective of ${percent(objective)} allows in 30 days. Below 0 the objective is missed. The history begins when the recording rules were loaded.`,
        unit: 'percentunit',
        span: 5,
        height: 5,
        decimals: 1,
        empty: NO_RULES,
        steps: steps.budget,
        queries: [{ name: 'left', expr: budgetLeft(recorded, bad, all, objective) }],
      }),
      figure({
        title: `How fast do ${title} spend it?`,
        description:
          'Burn rate over each window: at 1 the budget lasts exactly 30 days, at 14.4 it is gone in two. Long and short window both high: it is happening now, and an alert fires (14.4 over 1h and 5m; 6 over 6h and 30m; 1 over 3d and 6h). Only the long one high: it is over.',
        unit: TIMES,
        span: 19,
        height: 5,
        decimals: 2,
        empty: NO_RULES,
        steps: [[null, GOOD], ...ofBurn.slice(1)],
        queries: WINDOWS.map((window) => ({ name: window, expr: burn(recorded, bad, all, objective, window) })),
      }),
      lines({
        title: `When were ${title} burning the budget?`,
        description: 'The burn rates over time. Dashed: where the alerts begin.',
        unit: TIMES,
        span: 12,
        height: 8,
        empty: NO_RULES,
        showSteps: true,
        steps: ofBurn,
        colours: Object.fromEntries(WINDOWS.map((window, index) => [window, LINES[index]!])),
        queries: WINDOWS.map((window) => ({ name: window, expr: burn(recorded, bad, all, objective, window) })),
      }),
      table({
        title: `Which task has ${title}?`,
        description:
          'Burn rates by task, and what each has left. The first row is where to look; click it for the page of that task.',
        span: 12,
        height: 8,
        rows: [
          {
            label: 'task_name',
            title: 'Task',
            links: [{ title: 'Open this task', url: page.urlOf('task', '&var-task=${__data.fields.Task}') }],
          },
        ],
        sortBy: 'Over 1h',
        columns: [
          ...(['1h', '6h', '3d'] as const).map((window) => ({
            name: `Over ${window}`,
            unit: TIMES,
            width: 95,
            decimals: 2,
            steps: cellOfBurn,
            cell: 'background' as const,
            expr: burn(recorded, bad, all, objective, window, 'task_name'),
          })),
          {
            name: 'Budget left',
            unit: 'percentunit',
            width: 110,
            decimals: 1,
            steps: steps.budget,
            expr: budgetLeft(recorded, bad, all, objective, 'task_name'),
          },
        ],
      }),
    )
  }
  return page
    .row('What spends it')
    .panels(
      lines({
        title: 'Failed and dropped tasks',
        description:
          'Tasks in each step that spent the budget for failures, by task. From the counters themselves, without the recording rules.',
        unit: 'short',
        span: 10,
        height: 8,
        look: 'bars',
        queries: [
          {
            name: '{{task_name}}',
            expr: `sum by (task_name) (increase(${ofTask.of('finished', BAD)}[$__rate_interval])) > 0`,
          },
        ],
        empty: 'Nothing failed',
      }),
      table({
        title: 'Errors behind the failures',
        description:
          'Attempts that ended in an error or a timeout in this time range, by task and type. Retries hide some of them from the budget.',
        span: 8,
        height: 8,
        rows: [
          { label: 'task_name', title: 'Task' },
          { label: 'error_type', title: 'Error' },
        ],
        sortBy: 'Attempts',
        columns: [
          {
            name: 'Attempts',
            unit: 'none',
            decimals: 0,
            width: 90,
            expr: `sum by (task_name, error_type) (${gained(ofTask.of('attempts', 'task_result=~"error|timeout"'), RANGE)}) > 0`,
          },
        ],
      }),
      note({
        title: 'How to read it',
        description: 'What counts, and where the numbers come from.',
        span: 6,
        height: 8,
        markdown: `**Bad**: outcome failed or dropped.

**Not counted**: cancelled, handed off.

**Late**: completed after more than ${effectWithin} s.

**Burn 1×**: all of the budget in 30 days.

Other objectives: \`npx afterspan grafana --help\``,
      }),
    )
    .build()
}
