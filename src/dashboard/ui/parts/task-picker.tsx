import { useState } from 'preact/hooks'
import type { TaskRow } from '../../protocol.ts'
import { filtered } from '../now/order.ts'
import { count } from '../words/format.ts'
import { Sign, severityOf } from './severity.tsx'
import { Empty, Skeleton } from './states.tsx'
import { TaskFilter } from './task-filter.tsx'
import { Name } from './text.tsx'

interface Props {
  readonly label: string
  readonly tasks: readonly TaskRow[] | null
  readonly current: string | null
  readonly hrefOf: (name: string) => string
  readonly figure: (row: TaskRow) => string
}

/** Beyond this a name is typed rather than looked for. */
const SHOWN = 100
const FEW = 20

/** The tasks as a list of places to go to, each with the figure that makes one go there. */
export function TaskPicker({ label, tasks, current, hrefOf, figure }: Props) {
  const [filter, setFilter] = useState('')
  if (tasks === null) return <Skeleton rows={8} />
  if (tasks.length === 0) return <Empty title="No task is defined yet." />
  const found = filtered(tasks, filter)
  return (
    <nav class="picker" aria-label={label}>
      {tasks.length > FEW && <TaskFilter value={filter} onChange={setFilter} />}
      <ul>
        {found.slice(0, SHOWN).map((row) => (
          <li key={row.name}>
            <a href={hrefOf(row.name)} aria-current={row.name === current ? 'page' : undefined}>
              <span>
                <Sign severity={severityOf(row.trouble)} />
                <Name text={row.name} length={36} />
              </span>
              <span class="figure">{figure(row)}</span>
            </a>
          </li>
        ))}
      </ul>
      {found.length > SHOWN && <p class="quiet">and {count(found.length - SHOWN)} more</p>}
      {found.length === 0 && <p class="quiet">No task's name has that.</p>}
    </nav>
  )
}
