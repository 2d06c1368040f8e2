import type { Now } from '../../protocol.ts'
import { Empty } from '../parts/states.tsx'
import { TaskFilter } from '../parts/task-filter.tsx'
import { href } from '../router.ts'
import { replaceRoute } from '../use-route.ts'
import { Loop } from './loop.tsx'
import { filtered } from './order.ts'
import { Process } from './process.tsx'
import { TaskTable } from './task-table.tsx'
import { VerdictPanel } from './verdict-panel.tsx'

export function NowScreen({ now, filter }: { now: Now; filter: string }) {
  const rows = filtered(now.tasks, filter)
  return (
    <>
      <VerdictPanel now={now} />
      <Process now={now} />
      <section aria-labelledby="tasks-title">
        <div class="title">
          <h2 id="tasks-title">Tasks</h2>
          <p class="quiet">last 5 minutes, the most troubled first</p>
          <TaskFilter class="filter" value={filter} onChange={setFilter} />
        </div>
        {now.tasks.length === 0 ? (
          <Empty title="No task is defined yet.">
            <p>
              A task appears here as soon as the app calls <code>tasks.define(name, handler)</code> or{' '}
              <code>req.defer(fn)</code>.
            </p>
          </Empty>
        ) : rows.length === 0 ? (
          <Empty title={`No task's name has “${filter}”.`}>
            <button type="button" onClick={() => setFilter('')}>
              Show all {now.tasks.length}
            </button>
          </Empty>
        ) : (
          <TaskTable rows={rows} />
        )}
      </section>
      <Loop now={now} />
    </>
  )
}

/** In the address, so that it can be passed on. */
function setFilter(filter: string): void {
  replaceRoute(href({ screen: 'now', filter }))
}
