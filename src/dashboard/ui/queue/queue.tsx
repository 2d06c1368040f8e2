import { useState } from 'preact/hooks'
import type { TaskDetail, TaskRow } from '../../protocol.ts'
import { useQuery } from '../data/query.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { TaskActions } from '../parts/task-actions.tsx'
import { TaskBadges } from '../parts/task-badges.tsx'
import { TaskHeading } from '../parts/task-heading.tsx'
import { TaskPicker } from '../parts/task-picker.tsx'
import { encode, href } from '../router.ts'
import { FailedTasks } from '../task/failed.tsx'
import { count } from '../words/format.ts'
import { Waiting } from './waiting.tsx'

type Kind = 'waiting' | 'failed'

/** What waits, and what has failed, of one task. */
export function QueueScreen({ tasks, name }: { tasks: readonly TaskRow[] | null; name: string | null }) {
  const sorted = tasks && [...tasks].sort((a, b) => b.waiting - a.waiting)
  const shown = name ?? sorted?.[0]?.name ?? null
  const row = tasks?.find((task) => task.name === shown)
  return (
    <>
      <h1>Queue</h1>
      <div class="picked">
        <TaskPicker
          label="Tasks by how many wait"
          tasks={sorted}
          current={shown}
          hrefOf={(task) => href({ screen: 'queue', name: task })}
          figure={({ waiting }) => `${count(waiting)} waiting`}
        />
        {shown === null ? <div /> : <One key={shown} name={shown} row={row} />}
      </div>
    </>
  )
}

function One({ name, row }: { name: string; row: TaskRow | undefined }) {
  const [kind, setKind] = useState<Kind>('waiting')
  const detail = useQuery<TaskDetail>(kind === 'failed' ? `api/tasks/${encode(name)}?range=900` : null, 4_000)
  return (
    <section aria-label={`Queue of ${name.slice(0, 80)}`}>
      <div class="title">
        <TaskHeading name={name} />
        {row && <TaskBadges row={row} />}
        <p class="ranges">
          {(['waiting', 'failed'] as const).map((one) => (
            <button key={one} type="button" aria-pressed={kind === one} onClick={() => setKind(one)}>
              {one === 'waiting' ? `Waiting${row ? ` ${count(row.waiting)}` : ''}` : 'Failed'}
            </button>
          ))}
        </p>
        {row && <TaskActions row={row} />}
      </div>
      {row?.engine && kind === 'waiting' && (
        <p class="quiet">
          What waits in {row.engine.system} belongs to all processes; here stands what this process holds itself.
        </p>
      )}
      {kind === 'waiting' ? (
        <Waiting name={name} />
      ) : (
        <Loaded query={detail} rows={6}>
          {({ failed }) => <FailedTasks failed={failed} reload={detail.reload} />}
        </Loaded>
      )}
      {row === undefined && kind === 'waiting' && <Empty title="This task is not in the list Now." />}
    </section>
  )
}
