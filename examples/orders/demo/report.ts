import type { Outcome } from 'afterspan'
import { type Line, type Style, table } from '../../image-service/demo/table.ts'
import type { Accounts } from './accounts.ts'
import type { Child } from './child.ts'
import type { Customers } from './customers.ts'
import { type Check, isRight, TASKS } from './verify.ts'

const bold = (text: string) => ({ text, style: 'bold' as Style })

/** Who has counted what: a task is handed off by the process that sends it, and ends in the one that runs it. */
export function processTable(children: readonly Child[], accounts: Accounts): Line[] {
  const columns: Outcome[] = ['handed_off', 'completed', 'failed', 'cancelled', 'dropped']
  const rows = children.map(({ name, ending, life }) => [
    bold(name),
    ending ?? '',
    String(life.taken),
    ...columns.map((outcome) => String(life.count(outcome))),
  ])
  const uncounted = TASKS.map((name) => accounts.account(name).uncounted)
  const total = (word: 'completed' | 'failed') => uncounted.reduce((sum, counts) => sum + counts[word], 0)
  return table(
    [
      { title: 'process', align: 'left' },
      { title: 'ended by', align: 'left' },
      { title: 'attempts' },
      { title: 'handed off' },
      ...columns.slice(1).map((title) => ({ title })),
    ],
    [...rows, [bold('counted by none'), '', '', '', String(total('completed')), String(total('failed')), '', '']],
  )
}

/** The checks, a tick each. */
export function checkTable(checks: readonly Check[]): Line[] {
  return table(
    [
      { title: 'about', align: 'left' },
      { title: 'figure', align: 'left' },
      { title: 'expected' },
      { title: 'found' },
      { title: '' },
    ],
    checks.map((check) => {
      const { about, what, expected, found } = check
      const right = isRight(check)
      return [
        bold(about),
        what,
        String(expected),
        right ? String(found) : { text: Number.isNaN(found) ? 'missing' : String(found), style: 'red' },
        right ? { text: '✓', style: 'green' } : { text: '✗', style: 'red' },
      ]
    }),
  )
}

/** The state of the moment. */
export function summary(elapsed: number, phase: string, customers: Customers, accounts: Accounts): Line[] {
  const { sent, right, rejected, turnedAway, surprises } = customers
  return [
    [
      bold(`${elapsed.toFixed(0).padStart(3)} s`),
      { text: `  ${phase}   ${sent} orders, ${right} ended, ${rejected} × 400, ${turnedAway} × 503` },
      { text: surprises.length > 0 ? `   ${surprises.length} wrong answers` : '', style: 'red' },
    ],
    [],
    ...table(
      [
        { title: 'task', align: 'left' },
        { title: 'accepted' },
        { title: 'open' },
        { title: 'completed' },
        { title: 'failed' },
        { title: 'cancelled' },
      ],
      TASKS.map((name) => {
        const { accepted, open, completed, failed, cancelled } = accounts.account(name)
        return [bold(name), ...[accepted, open, completed, failed, cancelled].map(String)]
      }),
    ),
    [],
  ]
}
