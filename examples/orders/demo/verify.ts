import type { Depth } from 'afterspan'
import type { Totals } from '../orders.ts'
import type { OutcomeCounts, TaskAccount } from './accounts.ts'
import type { Seen } from './customers.ts'

export const TASKS = ['charge-card', 'send-receipt', 'update-stock', 'order-report'] as const
export type TaskName = (typeof TASKS)[number]

/** What one process has counted: by its log, and by what it says of itself. */
export interface Statement {
  readonly name: string
  readonly log: OutcomeCounts
  /** `/metrics`, of a process that lives at the end. */
  readonly metrics: OutcomeCounts | undefined
  /** At its end in order; undefined where it was killed. */
  readonly ledger: OutcomeCounts | undefined
  readonly killed: boolean
}

export interface Evidence {
  readonly seen: Seen
  /** `GET /orders`. */
  readonly totals: Totals
  readonly accounts: Readonly<Record<TaskName, TaskAccount>>
  /** Tasks with a second outcome. */
  readonly twice: number
  readonly interrupted: number
  readonly runAgain: number
  readonly statements: readonly Statement[]
  /** What the engine holds, by the worker's `/health/tasks`; null where it has not said so. */
  readonly holds: Readonly<Record<TaskName, Depth | null>>
}

/** One figure: what it must be, and what it is. */
export interface Check {
  readonly about: string
  readonly what: string
  readonly expected: number
  readonly found: number
}

/** Holds what the processes, the store and the queue say against what the customers have seen. */
export function verify(evidence: Evidence): Check[] {
  const { seen, totals, accounts, statements } = evidence
  const { paid, declined, unpaid, cancelled } = seen.accepted
  const sent = paid + declined + unpaid + cancelled
  const charge = accounts['charge-card']
  const checks: Check[] = []
  const check = (about: string, what: string, expected: number, found: number | undefined) =>
    checks.push({ about, what, expected, found: found ?? Number.NaN })

  check('orders', 'answered 202, and in the queue', sent, charge.accepted - totals.late)
  for (const end of ['paid', 'declined', 'unpaid', 'cancelled'] as const) {
    check('', end, seen.accepted[end], totals.states[end] ?? 0)
  }
  check('', 'answered 503, and refused', seen.turnedAway, totals.states.refused ?? 0)
  check('', 'in the store', sent + seen.turnedAway, sum(totals.states))
  check('', 'whose end is right', sent, seen.right)
  check('', 'answers that must not be', 0, seen.surprises.length)

  for (const step of ['charge', 'receipt', 'stock', 'report'] as const) {
    check(step === 'charge' ? 'done once' : '', step, paid, totals.done[step])
  }
  check('', 'cents charged', seen.due, totals.charged)

  for (const name of TASKS) {
    const { accepted, completed, failed, cancelled: takenOut, uncounted } = accounts[name]
    const ended = completed + failed + takenOut + uncounted.completed + uncounted.failed
    check(name, 'accepted = outcomes', accepted, ended)
    // What follows a charge is deferred twice where the charge is run again, and never less than once.
    const due = name === 'charge-card' ? paid + totals.late : Math.max(paid, accepted)
    check('', 'completed', due, completed + uncounted.completed)
    if (name !== 'charge-card') continue
    check('', 'failed', declined + unpaid, failed + uncounted.failed)
    check('', 'failed, and kept in the queue', declined + unpaid, evidence.holds[name]?.failed)
    check('', 'taken out of the queue', cancelled, takenOut)
  }
  const all = Object.values(accounts)
  const held = Object.values(evidence.holds)
  const unfinished = held.map((one) => (one === null ? Number.NaN : one.waiting + one.delayed + one.active))
  check('all tasks', 'lost', 0, sum(all.map(({ open }) => open)))
  check('', 'unfinished in the queue', 0, sum(unfinished))
  check(
    '',
    'failed beside charges',
    0,
    sum(held.map((one) => one?.failed ?? 0)) - (evidence.holds['charge-card']?.failed ?? 0),
  )
  check('', 'with two outcomes', 0, evidence.twice)
  check('', 'cut off by the kill, and run again', evidence.interrupted, evidence.runAgain)
  for (const { name, log, metrics, ledger, killed } of statements) {
    if (metrics !== undefined) check(name, 'outcomes by /metrics', sum(log), agreed(log, metrics))
    if (!killed) check(metrics === undefined ? name : '', 'outcomes by its ledger', sum(log), agreed(log, ledger))
  }
  return checks
}

export function isRight({ expected, found }: Check): boolean {
  return expected === found
}

/** How many there are of all sorts, where each sort agrees; where one does not, what makes it wrong. */
function agreed(log: OutcomeCounts, said: OutcomeCounts | undefined): number {
  if (said === undefined) return Number.NaN
  const off = Object.entries(log).reduce(
    (total, [word, count]) => total + Math.abs(count - said[word as keyof OutcomeCounts]),
    0,
  )
  return sum(log) + off
}

function sum(counts: Readonly<Record<string, number>> | readonly number[]): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
