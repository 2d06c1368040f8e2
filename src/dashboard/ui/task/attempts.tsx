import type { AttemptRow } from '../../protocol.ts'
import { useRowLinks } from '../parts/row-links.ts'
import { Scroll } from '../parts/scroll.tsx'
import { Sign } from '../parts/severity.tsx'
import { Empty } from '../parts/states.tsx'
import { Name, Route } from '../parts/text.tsx'
import { Time } from '../parts/time.tsx'
import { href } from '../router.ts'
import { count, duration } from '../words/format.ts'

/** Attempts, one a row, each leading to its trace where it was sampled. */
export function Attempts(props: { title: string; attempts: readonly AttemptRow[]; task: string; none: string }) {
  const { title, attempts, task, none } = props
  const table = useRowLinks<HTMLTableElement>()
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {attempts.length === 0 ? (
        <Empty title={none} />
      ) : (
        <Scroll label={title}>
          <table class="plain attempts" ref={table}>
            <caption class="hidden">{title}</caption>
            <thead>
              <tr>
                <th scope="col" class="words">
                  When
                </th>
                <th scope="col" class="words">
                  Result
                </th>
                <th scope="col">Attempt</th>
                <th scope="col">Wait</th>
                <th scope="col">Duration</th>
                <th scope="col" class="words">
                  Route
                </th>
                <th scope="col" class="words">
                  Trace
                </th>
              </tr>
            </thead>
            <tbody>
              {attempts.map((attempt) => (
                <Row key={`${attempt.id} ${attempt.attempt}`} attempt={attempt} task={task} />
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </section>
  )
}

function Row({ attempt: it, task }: { attempt: AttemptRow; task: string }) {
  return (
    <tr>
      <td class="words">
        <Time at={it.at} />
      </td>
      <td class="words result">
        <Result result={it.result} />
        {it.error !== null && <Name text={it.error} length={60} />}
      </td>
      <td>{count(it.attempt)}</td>
      <td>{duration(it.wait)}</td>
      <td>{duration(it.duration)}</td>
      <td class="words">
        <Route route={it.route} length={40} />
      </td>
      <td class="words">
        {it.traceId === null ? (
          <span class="quiet">not sampled</span>
        ) : (
          <a class="row-link mono" href={href({ screen: 'trace', traceId: it.traceId, spanId: null })}>
            {it.traceId.slice(0, 8)}
            <span class="hidden"> trace</span>
          </a>
        )}
        {it.profile !== null && (
          <>
            {' '}
            <a href={href({ screen: 'profile', name: task, id: it.profile })}>profile</a>
          </>
        )}
      </td>
    </tr>
  )
}

export function Result({ result }: { result: string }) {
  const severity = result === 'ok' ? 'ok' : result === 'cancelled' ? 'warn' : 'bad'
  return (
    <span class={`result-word ${severity}`}>
      <Sign severity={severity} word="" />
      {result}
    </span>
  )
}
