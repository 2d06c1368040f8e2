import type { UndeclaredRow } from '../protocol.ts'
import { useQuery } from './data/query.ts'
import { Copy } from './parts/copy.tsx'
import { useRowLinks } from './parts/row-links.ts'
import { Scroll } from './parts/scroll.tsx'
import { Empty, Loaded } from './parts/states.tsx'
import { LongText, Name, Route } from './parts/text.tsx'
import { href } from './router.ts'
import { count, duration } from './words/format.ts'

/** Work that outlives its response and that nobody declared as a task. */
export function UndeclaredScreen() {
  const query = useQuery<readonly UndeclaredRow[]>('api/undeclared', 5_000)
  const table = useRowLinks<HTMLTableElement>()
  return (
    <>
      <h1>Undeclared work</h1>
      <p class="quiet">
        Spans that end after their response and belong to no task: no limit holds them, no retry repeats them, a
        shutdown cuts them off.
      </p>
      <Loaded query={query} rows={8}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="None was seen.">
              <p>All work after a response that was traced belongs to a task.</p>
            </Empty>
          ) : (
            <Scroll label="Undeclared work">
              <table class="plain undeclared" ref={table}>
                <caption class="hidden">Undeclared work, the most time first</caption>
                <thead>
                  <tr>
                    <th scope="col">Span</th>
                    <th scope="col" class="words">
                      Route
                    </th>
                    <th scope="col">Times</th>
                    <th scope="col">In all</th>
                    <th scope="col">Longest</th>
                    <th scope="col" class="words">
                      What to write instead
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {rows.map((row) => (
                    <Row key={`${row.route} ${row.span}`} row={row} />
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Loaded>
    </>
  )
}

function Row({ row }: { row: UndeclaredRow }) {
  return (
    <tr>
      <th scope="row">
        <a class="row-link" href={href({ screen: 'trace', traceId: row.traceId, spanId: null })}>
          <Name text={row.span} length={60} />
        </a>
      </th>
      <td class="words">
        <Route route={row.route} length={50} />
      </td>
      <td>{count(row.count)}</td>
      <td>{duration(row.total)}</td>
      <td>{duration(row.max)}</td>
      <td class="words suggestion">
        <LongText text={row.suggestion} length={300} code /> <Copy text={row.suggestion} what="suggestion" />
      </td>
    </tr>
  )
}
