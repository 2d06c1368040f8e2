import { useRef, useState } from 'preact/hooks'
import type { TaskRow } from '../../protocol.ts'
import { config } from '../config.ts'
import { QuantileCells, QuantileHead } from '../parts/quantiles.tsx'
import { useRowLinks } from '../parts/row-links.ts'
import { Sign, severityOf } from '../parts/severity.tsx'
import { Sparkline } from '../parts/sparkline.tsx'
import { TaskActions } from '../parts/task-actions.tsx'
import { TaskBadges } from '../parts/task-badges.tsx'
import { Name } from '../parts/text.tsx'
import { href } from '../router.ts'
import { count, rate, ratio, short } from '../words/format.ts'
import { inOrder } from './order.ts'

/** More are seldom looked at, and a hundred rows with nine quantiles each are drawn again each second. */
const SHOWN = 100

export function TaskTable({ rows }: { rows: readonly TaskRow[] }) {
  const table = useRowLinks<HTMLTableElement>()
  const [all, setAll] = useState(false)
  const held = useRef<readonly string[] | null>(null)
  // A row must not move away from under the pointer or the focus of who is about to open it.
  const hold = () => {
    held.current ??= rows.map(({ name }) => name)
  }
  const release = () => {
    const element = table.current
    if (!element?.matches(':hover') && !element?.matches(':focus-within')) held.current = null
  }
  const ordered = held.current === null ? rows : inOrder(rows, held.current)
  const shown = all ? ordered : ordered.slice(0, SHOWN)
  return (
    <>
      <div class="scroll" onPointerEnter={hold} onPointerLeave={release} onFocusIn={hold} onFocusOut={release}>
        <table class="tasks" ref={table}>
          <caption class="hidden">Tasks, the most troubled first. Figures are those of the last 5 minutes.</caption>
          <thead>
            <tr>
              <th scope="col">Task</th>
              <th scope="col" class="words">
                Last 15 min
              </th>
              <th scope="col">Rate</th>
              <th scope="col">Failed</th>
              <th scope="col">
                <QuantileHead title="Wait" />
              </th>
              <th scope="col">
                <QuantileHead title="Duration" />
              </th>
              <th scope="col">
                <QuantileHead title="Effect" />
              </th>
              <th scope="col">Waiting</th>
              <th scope="col">Oldest</th>
              <th scope="col">Running</th>
              {config.actions && (
                <th scope="col" class="words">
                  Actions
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <Row key={row.name} row={row} />
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > SHOWN && (
        <p>
          <button type="button" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? `Show the first ${SHOWN} only` : `Show all ${count(rows.length)} tasks`}
          </button>
        </p>
      )}
    </>
  )
}

function Row({ row }: { row: TaskRow }) {
  const severity = severityOf(row.trouble)
  return (
    <tr class={severity}>
      <th scope="row">
        <Sign severity={severity} />
        <a class="row-link" href={href({ screen: 'task', name: row.name, range: 900 })}>
          <Name text={row.name} length={60} />
        </a>{' '}
        <TaskBadges row={row} />
        {row.reasons.length > 0 && (
          <span class="why">
            <Name text={row.reasons.slice(0, 2).join('; ')} length={140} />
          </span>
        )}
      </th>
      <td class="spark">
        <Sparkline completed={row.sparkline.completed} failed={row.sparkline.failed} seconds={900} />
      </td>
      <td data-head="Rate">{rate(row.rate)}</td>
      <td data-head="Failed" class={row.failed > 0 ? 'notable' : ''}>
        {ratio(row.failureRatio)}
        {row.failed > 0 && <small>{count(row.failed)}</small>}
      </td>
      <td data-head="Wait">
        <QuantileCells of={row.wait} />
      </td>
      <td data-head="Duration">
        <QuantileCells of={row.duration} />
      </td>
      <td data-head="Effect">
        <QuantileCells of={row.effect} />
      </td>
      <td data-head="Waiting">{count(row.waiting)}</td>
      <td data-head="Oldest" class={row.oldest !== null && row.oldest >= 30 ? 'notable' : ''}>
        {short(row.oldest)}
      </td>
      <td data-head="Running">
        {count(row.running)}
        {row.zombies > 0 && <small>{count(row.zombies)} zombies</small>}
      </td>
      {config.actions && (
        <td class="words">
          <TaskActions row={row} />
        </td>
      )}
    </tr>
  )
}
