import type { TaskRow } from '../../protocol.ts'
import { Sign, severityOf } from './severity.tsx'
import { Empty, Skeleton } from './states.tsx'
import { Name } from './text.tsx'

interface Props {
  readonly label: string
  readonly tasks: readonly TaskRow[] | null
  readonly current: string | null
  readonly hrefOf: (name: string) => string
  readonly figure: (row: TaskRow) => string
}

/** The tasks as a list of places to go to, each with the figure that makes one go there. */
export function TaskPicker({ label, tasks, current, hrefOf, figure }: Props) {
  if (tasks === null) return <Skeleton rows={8} />
  if (tasks.length === 0) return <Empty title="No task is defined yet." />
  return (
    <nav class="picker" aria-label={label}>
      <ul>
        {tasks.map((row) => (
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
    </nav>
  )
}
