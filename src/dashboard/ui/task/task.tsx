import type { ComponentChildren } from 'preact'
import { useRef } from 'preact/hooks'
import type { TaskDetail, TaskRow } from '../../protocol.ts'
import { config } from '../config.ts'
import { useQuery } from '../data/query.ts'
import { Sign, severityOf } from '../parts/severity.tsx'
import { Loaded } from '../parts/states.tsx'
import { TaskActions } from '../parts/task-actions.tsx'
import { TaskBadges } from '../parts/task-badges.tsx'
import { Name } from '../parts/text.tsx'
import { encode, href, type Range } from '../router.ts'
import { count, duration, rate, ratio } from '../words/format.ts'
import { Attempts } from './attempts.tsx'
import { Charts } from './charts.tsx'
import { Errors } from './errors.tsx'
import { FailedTasks } from './failed.tsx'
import { Histogram } from './histogram.tsx'

const EVERY = 3_000

export function TaskScreen({ name, range }: { name: string; range: Range }) {
  const asked = useQuery<TaskDetail>(`api/tasks/${encode(name)}?range=${range}`, EVERY)
  // The other range stays in sight until this one is there, so that nothing jumps.
  const last = useRef(asked)
  if (asked.data !== null || asked.failure !== null) last.current = asked
  const query = asked.data === null && asked.failure === null ? last.current : asked
  const row = query.data?.row
  return (
    <>
      <div class="title">
        <h1>
          {row && <Sign severity={severityOf(row.trouble)} />}
          <Name text={name} length={100} />
        </h1>
        {row && <TaskBadges row={row} />}
        <Ranges name={name} range={range} />
        <p class="links">
          <a href={href({ screen: 'traces', search: { task: name } })}>traces</a>
          <a href={href({ screen: 'queue', name })}>queue</a>
          {config.profiler && <a href={href({ screen: 'profile', name, id: null })}>profile</a>}
        </p>
        {row && <TaskActions row={row} done={query.reload} />}
      </div>
      <Loaded query={query} rows={20}>
        {(detail) => <Detail detail={detail} range={range} reload={query.reload} />}
      </Loaded>
    </>
  )
}

function Ranges({ name, range }: { name: string; range: Range }) {
  return (
    <p class="ranges">
      {([900, 3600] as const).map((seconds) => (
        <a
          key={seconds}
          href={href({ screen: 'task', name, range: seconds })}
          aria-current={seconds === range ? 'true' : undefined}
        >
          {seconds === 900 ? '15 min' : '1 h'}
        </a>
      ))}
    </p>
  )
}

function Detail({ detail, range, reload }: { detail: TaskDetail; range: Range; reload: () => void }) {
  const { row, charts, histogram, errors, slowest, latest, failed, options } = detail
  return (
    <>
      {row.reasons.length > 0 && (
        <ul class="reasons">
          {row.reasons.map((reason) => (
            <li key={reason}>
              <Name text={reason} length={200} />
            </li>
          ))}
        </ul>
      )}
      <Figures row={row} />
      <Charts charts={charts} range={range}>
        <Histogram of={histogram} />
      </Charts>
      <div class="columns">
        <Part title={`Errors, last ${range === 900 ? '15 min' : 'hour'}`}>
          <Errors errors={errors} task={row.name} />
        </Part>
        <Part title="Options">
          <Options options={options} />
        </Part>
      </div>
      <div class="columns">
        <Attempts title="Latest attempts" attempts={latest} task={row.name} none="No attempt has ended yet." />
        <Attempts title="Slowest attempts" attempts={slowest} task={row.name} none="No attempt has ended yet." />
      </div>
      <Part title="Failed">
        <FailedTasks failed={failed} reload={reload} />
      </Part>
    </>
  )
}

function Part({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  )
}

/** The row of the list *Now*, with room. */
function Figures({ row }: { row: TaskRow }) {
  const three = ({ p50, p95, p99 }: TaskRow['wait']) => `${duration(p50)} · ${duration(p95)} · ${duration(p99)}`
  const figures: readonly (readonly [string, string])[] = [
    ['Rate', rate(row.rate)],
    ['Failed', `${ratio(row.failureRatio)} (${count(row.failed)})`],
    ['Retries', count(row.retries)],
    ['Waiting', count(row.waiting)],
    ['Oldest', duration(row.oldest)],
    ['Running', row.zombies > 0 ? `${count(row.running)}, ${count(row.zombies)} zombies` : count(row.running)],
    ['Wait p50 · p95 · p99', three(row.wait)],
    ['Duration p50 · p95 · p99', three(row.duration)],
    ['Effect p50 · p95 · p99', three(row.effect)],
  ]
  return (
    <section aria-label="Figures of the last 5 minutes">
      <dl class="figures">
        {figures.map(([title, value]) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  )
}

function Options({ options }: { options: TaskDetail['options'] }) {
  const { priority, concurrency, timeout, attempts, batch } = options
  const lines: readonly (readonly [string, string])[] = [
    ['priority', priority],
    ['concurrency', concurrency === null ? 'that of all tasks' : count(concurrency)],
    ['timeout', timeout === null ? 'none' : duration(timeout)],
    ['attempts', count(attempts)],
    ['batch', batch === null ? 'no' : `up to ${count(batch.maxSize)}, after ${duration(batch.maxWait)} at the latest`],
  ]
  return (
    <dl class="options">
      {lines.map(([option, value]) => (
        <div key={option}>
          <dt>{option}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}
