import type { Now, TaskRow } from '../../protocol.ts'
import { count, counted, duration, ratio } from '../words/format.ts'

export interface Finding {
  readonly name: string
  readonly trouble: number
  readonly what: string
}

/** Seconds from which on a ready task counts as stuck: where `health` says *degraded* by default. */
const OLD = 30

/** The two questions that bring somebody to the page, answered from what the server tells of each task. */
export function verdict(now: Now): { failing: Finding[]; stuck: Finding[]; other: Finding[] } {
  const failing = findings(now, ({ failed, failureRatio }) =>
    failed > 0 ? `${ratio(failureRatio)} failed, ${count(failed)} in 5 min` : null,
  )
  const stuckOnes = findings(now, stuck)
  const told = new Set([...failing, ...stuckOnes].map(({ name }) => name))
  // Who holds the event loop, say.
  const other = findings(now, ({ name, trouble, reasons }) =>
    trouble > 0 && !told.has(name) ? (reasons[0] ?? 'see its figures') : null,
  )
  return { failing, stuck: stuckOnes, other }
}

function stuck(row: TaskRow): string | null {
  const found: string[] = []
  if (row.oldest !== null && row.oldest >= OLD) found.push(`oldest ready for ${duration(row.oldest)}`)
  if (row.zombies > 0) found.push(`${counted(row.zombies, 'zombie')}`)
  if (row.engine?.up === false) found.push(`${row.engine.system} does not answer`)
  if (row.mode !== 'running' && row.waiting > 0) found.push(`${row.mode}, ${count(row.waiting)} waiting`)
  return found.length > 0 ? found.join(', ') : null
}

function findings(now: Now, judge: (row: TaskRow) => string | null): Finding[] {
  const found = now.tasks.flatMap((row) => {
    const what = judge(row)
    return what === null ? [] : [{ name: row.name, trouble: row.trouble, what }]
  })
  return found.sort((a, b) => b.trouble - a.trouble)
}

/** For the title of the tab, where it is read among twenty others. */
export function summary(now: Now): string {
  const { failing, stuck: stuckOnes } = verdict(now)
  const words = [
    failing.length > 0 ? `${failing.length} failing` : '',
    stuckOnes.length > 0 ? `${stuckOnes.length} stuck` : '',
  ].filter((word) => word !== '')
  return words.length > 0 ? words.join(', ') : now.health.status
}
