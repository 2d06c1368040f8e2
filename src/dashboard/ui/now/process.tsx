import type { ComponentChildren } from 'preact'
import type { Now } from '../../protocol.ts'
import { Meter } from '../parts/meter.tsx'
import { Sign } from '../parts/severity.tsx'
import { bytes, count, duration } from '../words/format.ts'

/** Concurrency, queue, governor, heap and loop of this process, each in one cell. */
export function Process({ now }: { now: Now }) {
  const { concurrency, queue, heap, loop, requests } = now
  return (
    <section class="process" aria-label="This process">
      <Cell title="Running">
        <Meter label="Concurrency in use" used={concurrency.used} limit={concurrency.limit}>
          <b>{count(concurrency.used)}</b> of {count(concurrency.limit)}
        </Meter>
      </Cell>
      <Cell title="Waiting">
        {queue.limit === null ? (
          <p class="value">
            <b>{count(queue.waiting)}</b> no limit
          </p>
        ) : (
          <Meter label="Queue in use" used={queue.waiting} limit={queue.limit}>
            <b>{count(queue.waiting)}</b> of {count(queue.limit)}
          </Meter>
        )}
      </Cell>
      <Cell title="Governor">
        <Governor governor={now.governor} />
      </Cell>
      <Cell title="Heap">
        <Meter label="Heap in use" used={heap.used} limit={heap.limit}>
          <b>{bytes(heap.used)}</b> of {bytes(heap.limit)}
        </Meter>
        <p class="note">{heap.guarded ? 'guarded' : 'not guarded'}</p>
      </Cell>
      <Cell title="Loop delay p99">
        <Pair running={loop.running.p99} idle={loop.idle.p99} />
      </Cell>
      <Cell title="Requests p99">
        <Pair running={requests.running.p99} idle={requests.idle.p99} />
      </Cell>
    </section>
  )
}

function Cell({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div class="cell">
      <h3>{title}</h3>
      {children}
    </div>
  )
}

function Governor({ governor }: { governor: Now['governor'] }) {
  if (governor === null) return <p class="value">off</p>
  const { delay, maxLoopDelay, limits, holdsBack } = governor
  return (
    <>
      <p class="value">
        {holdsBack ? (
          <>
            <Sign severity="warn" word="" />
            <b>holds back</b>
          </>
        ) : (
          <b>open</b>
        )}
      </p>
      <p class="note">
        {duration(delay)} of {duration(maxLoopDelay)}; high {count(limits.high)}, medium {count(limits.medium)}, low{' '}
        {count(limits.low)}
      </p>
    </>
  )
}

function Pair({ running, idle }: { running: number | null; idle: number | null }) {
  return (
    <>
      <p class="value">
        <b>{duration(running)}</b> while tasks run
      </p>
      <p class="note">{duration(idle)} while none does</p>
    </>
  )
}
