import type { TaskRow } from '../../protocol.ts'
import { cut, oneLine } from '../words/visible.ts'

/** What is special about how it runs: paused, draining, in other processes. */
export function TaskBadges({ row: { mode, engine } }: { row: TaskRow }) {
  return (
    <>
      {mode !== 'running' && <span class="badge strong">{mode}</span>}
      {engine && (
        <span class={`badge ${engine.up === false ? 'strong' : ''}`} data-tip={`queue ${engine.queue}`}>
          <bdi>{oneLine(cut(engine.system, 30))}</bdi>
          {engine.up === false ? ' does not answer' : ''}
        </span>
      )}
    </>
  )
}
