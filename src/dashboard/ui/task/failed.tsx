import type { FailedTask } from '../../protocol.ts'
import { config } from '../config.ts'
import { confirm } from '../parts/confirm.tsx'
import { Empty } from '../parts/states.tsx'
import { LongText, Name } from '../parts/text.tsx'
import { Time } from '../parts/time.tsx'
import { encode, href } from '../router.ts'
import { counted } from '../words/format.ts'

/** Those that have no attempts left. Each can be deferred again as long as its payload is kept. */
export function FailedTasks({ failed, reload }: { failed: readonly FailedTask[]; reload: () => void }) {
  if (failed.length === 0) return <Empty title="None failed, as far back as they are kept." />
  return (
    <ul class="failed-tasks">
      {failed.map((task) => (
        <li key={task.id}>
          <p class="title">
            <span class="mono">
              <Name text={task.id} length={40} />
            </span>
            <Time at={task.at} />
            <span class="quiet">after {counted(task.attempts, 'attempt')}</span>
            {task.traceId !== null && (
              <a href={href({ screen: 'trace', traceId: task.traceId, spanId: null })}>
                trace<span class="hidden"> of {task.id.slice(0, 40)}</span>
              </a>
            )}
            {config.actions && task.retryable && (
              <button type="button" class="small" onClick={() => retry(task, reload)}>
                Retry<span class="hidden"> {task.id.slice(0, 40)}</span>
              </button>
            )}
            {config.actions && !task.retryable && <span class="quiet">payload not kept</span>}
          </p>
          <LongText text={task.error} length={200} />
        </li>
      ))}
    </ul>
  )
}

function retry(task: FailedTask, reload: () => void): void {
  const action = {
    verb: 'Retry',
    subject: task.id,
    consequence: 'It is deferred again with its payload, as a new task with all its attempts.',
    done: `${task.id.slice(0, 40)} is deferred again`,
    path: `api/failed/${encode(task.id)}/retry`,
  }
  confirm(action, reload)
}
