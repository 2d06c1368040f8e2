import type { WaitingTask } from '../../protocol.ts'
import { config } from '../config.ts'
import { usePages } from '../data/pages.ts'
import { confirm } from '../parts/confirm.tsx'
import { ListFoot } from '../parts/list-foot.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { Name, Route } from '../parts/text.tsx'
import { Time } from '../parts/time.tsx'
import { VirtualTable } from '../parts/virtual-table.tsx'
import { encode, href } from '../router.ts'
import { count } from '../words/format.ts'

/** What waits of one task, in the order in which it starts. */
export function Waiting({ name }: { name: string }) {
  const pages = usePages<WaitingTask>(`api/tasks/${encode(name)}/waiting`, 2_000)
  const columns = `waiting${config.payloads ? ' with-payload' : ''}${config.actions ? ' with-actions' : ''}`
  return (
    <Loaded query={pages.first} rows={12}>
      {() =>
        pages.items.length === 0 ? (
          <Empty title="Nothing waits." />
        ) : (
          <>
            <VirtualTable
              key={pages.generation}
              class={columns}
              label="What waits, the next to start first"
              items={pages.items}
              total={pages.total ?? pages.items.length}
              rowHeight={30}
              columns={7 + Number(config.payloads) + Number(config.actions)}
              keyOf={(task) => task.id}
              onEnd={pages.loadMore}
              onTop={pages.onTop}
              onHold={pages.onHold}
              head={
                <>
                  <th scope="col">Task id</th>
                  <th scope="col">State</th>
                  <th scope="col">Deferred</th>
                  <th scope="col">Due</th>
                  <th scope="col">Priority</th>
                  <th scope="col" class="number-cell">
                    Attempt
                  </th>
                  <th scope="col">Route</th>
                  {config.payloads && <th scope="col">Payload</th>}
                  {config.actions && <th scope="col">Action</th>}
                </>
              }
              row={(task) => <Row task={task} cancelled={() => pages.remove(({ id }) => id === task.id)} />}
            />
            <ListFoot pages={pages} what="task" />
          </>
        )
      }
    </Loaded>
  )
}

function Row({ task, cancelled }: { task: WaitingTask; cancelled: () => void }) {
  return (
    <>
      <td class="mono">
        {task.traceId === null ? (
          <Name text={task.id} length={40} />
        ) : (
          <a href={href({ screen: 'trace', traceId: task.traceId, spanId: null })} data-tip="to its trace">
            <Name text={task.id} length={40} />
          </a>
        )}
      </td>
      <td>{task.state}</td>
      <td>
        <Time at={task.deferredAt} />
      </td>
      <td>{task.due === null ? <span class="quiet">now</span> : <Time at={task.due} />}</td>
      <td>{task.priority}</td>
      <td class="number-cell">{count(task.attempt)}</td>
      <td class="wide">
        <Route route={task.route} length={50} />
      </td>
      {config.payloads && (
        <td class="wide mono">{task.payload === undefined ? '' : <Name text={task.payload} length={80} />}</td>
      )}
      {config.actions && (
        <td>
          <button type="button" class="small" onClick={() => cancel(task, cancelled)}>
            Cancel<span class="hidden"> {task.id.slice(0, 40)}</span>
          </button>
        </td>
      )}
    </>
  )
}

function cancel(task: WaitingTask, cancelled: () => void): void {
  const action = {
    verb: 'Cancel',
    subject: task.id,
    consequence: 'It does not run, or not again. Its outcome is cancelled; this cannot be undone.',
    done: `${task.id.slice(0, 40)} is cancelled`,
    path: `api/waiting/${encode(task.id)}/cancel`,
  }
  confirm(action, cancelled)
}
