import { useState } from 'preact/hooks'
import type { ProfileDetail, TaskRow } from '../../protocol.ts'
import { config } from '../config.ts'
import { useQuery } from '../data/query.ts'
import { Scroll } from '../parts/scroll.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { TaskHeading } from '../parts/task-heading.tsx'
import { TaskPicker } from '../parts/task-picker.tsx'
import { Name } from '../parts/text.tsx'
import { encode, href } from '../router.ts'
import { count, duration, ratio } from '../words/format.ts'
import { FlameGraph } from './flame-graph.tsx'
import { placeOf } from './place.ts'

interface Props {
  readonly tasks: readonly TaskRow[] | null
  readonly name: string | null
  readonly id: string | null
}

/** Where the time of a task goes. */
export function ProfileScreen({ tasks, name, id }: Props) {
  const shown = name ?? tasks?.[0]?.name ?? null
  return (
    <>
      <h1>Profile</h1>
      {!config.profiler ? (
        <Empty title="The profiler is off.">
          <p>
            Switch it on where the app starts with <code>startProfiler()</code> from <code>afterspan/profiler</code>,
            which needs the package <code>@datadog/pprof</code>.
          </p>
        </Empty>
      ) : (
        <div class="picked">
          <TaskPicker
            label="Tasks with their duration"
            tasks={tasks}
            current={shown}
            hrefOf={(task) => href({ screen: 'profile', name: task, id: null })}
            figure={({ duration: { p95 } }) => `p95 ${duration(p95)}`}
          />
          {shown === null ? <div /> : <One key={`${shown} ${id}`} name={shown} id={id} />}
        </div>
      )}
    </>
  )
}

function One({ name, id }: { name: string; id: string | null }) {
  const query = id === null ? '' : `?id=${encodeURIComponent(id)}`
  // A graph that is read must not change below the eyes each second.
  const profile = useQuery<ProfileDetail>(`api/tasks/${encode(name)}/profile${query}`, id === null ? 15_000 : null)
  return (
    <section aria-label={`Profile of ${name.slice(0, 80)}`}>
      <div class="title">
        <TaskHeading name={name} />
        {id !== null && (
          <p class="quiet">
            one attempt; <a href={href({ screen: 'profile', name, id: null })}>all attempts</a>
          </p>
        )}
      </div>
      <Loaded query={profile} rows={14}>
        {(detail) =>
          detail.samples === 0 ? (
            <Empty title="No sample of this task yet.">
              <p>It has not used the CPU long enough to be met by a sample.</p>
            </Empty>
          ) : (
            <Detail detail={detail} />
          )
        }
      </Loaded>
    </section>
  )
}

function Detail({ detail }: { detail: ProfileDetail }) {
  const [marked, setMarked] = useState<string | null>(null)
  const { seconds, busy, cpu, samples, top, root } = detail
  return (
    <>
      <p class="facts">
        <span>{duration(busy)} on the event loop</span>
        <span>{duration(cpu)} of CPU</span>
        <span>in {duration(seconds)}</span>
        <span>{count(samples)} samples</span>
      </p>
      <FlameGraph root={root} marked={marked} />
      <h3>Top functions</h3>
      <Scroll label="Top functions">
        <table class="plain top">
          <caption class="hidden">Functions by the time in themselves</caption>
          <thead>
            <tr>
              <th scope="col">Function</th>
              <th scope="col">Self</th>
              <th scope="col">Share</th>
              <th scope="col">With callees</th>
              <th scope="col" class="words">
                Where
              </th>
            </tr>
          </thead>
          <tbody>
            {top.map((row) => {
              const place = placeOf(row)
              return (
                <tr key={place}>
                  <th scope="row">
                    <button
                      type="button"
                      class="link"
                      aria-pressed={marked === place}
                      data-tip="mark it in the graph"
                      onClick={() => setMarked(marked === place ? null : place)}
                    >
                      <Name text={row.name} length={60} />
                    </button>
                  </th>
                  <td>{duration(row.self)}</td>
                  <td>{ratio(busy > 0 ? row.self / busy : null)}</td>
                  <td>{duration(row.total)}</td>
                  <td class="words mono">
                    {row.file === null ? (
                      <span class="quiet">built in</span>
                    ) : (
                      <Name text={`${row.file}${row.line === null ? '' : `:${row.line}`}`} length={80} />
                    )}
                  </td>
                </tr>
              )
            })}
          </tbody>
        </table>
      </Scroll>
    </>
  )
}
