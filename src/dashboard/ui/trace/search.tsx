import type { TraceRow } from '../../protocol.ts'
import { usePages } from '../data/pages.ts'
import { ListFoot } from '../parts/list-foot.tsx'
import { useRowLinks } from '../parts/row-links.ts'
import { Sign } from '../parts/severity.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { Name } from '../parts/text.tsx'
import { Time } from '../parts/time.tsx'
import { VirtualTable } from '../parts/virtual-table.tsx'
import { href, searchQuery, type TraceSearch } from '../router.ts'
import { count, duration } from '../words/format.ts'
import { SearchForm } from './search-form.tsx'

export function SearchScreen({ search }: { search: TraceSearch }) {
  const path = `api/traces${searchQuery(search)}`
  return (
    <>
      <h1>Traces</h1>
      <SearchForm key={path} search={search} />
      <Results key={`results ${path}`} path={path} narrowed={Object.keys(search).length > 0} />
    </>
  )
}

function Results({ path, narrowed }: { path: string; narrowed: boolean }) {
  const pages = usePages<TraceRow>(path, 4_000)
  const table = useRowLinks<HTMLDivElement>()
  return (
    <Loaded query={pages.first} rows={14}>
      {() =>
        pages.items.length === 0 ? (
          <Empty title={narrowed ? 'No trace that is kept matches.' : 'No trace is kept yet.'}>
            {narrowed ? (
              <p>
                Failures and slow ones are kept longest. <a href="#/traces">Show all traces</a>
              </p>
            ) : (
              <p>The next request that defers a task shows here. Without tracing there are none: see Telemetry.</p>
            )}
          </Empty>
        ) : (
          <div ref={table}>
            <VirtualTable
              key={pages.generation}
              class="traces"
              label="Traces, the latest first"
              items={pages.items}
              total={pages.total ?? pages.items.length}
              rowHeight={32}
              columns={6}
              keyOf={(row) => row.traceId}
              onEnd={pages.loadMore}
              onTop={pages.onTop}
              onHold={pages.onHold}
              head={
                <>
                  <th scope="col">When</th>
                  <th scope="col">Request</th>
                  <th scope="col">Tasks</th>
                  <th scope="col" class="number-cell">
                    Duration
                  </th>
                  <th scope="col" class="number-cell">
                    Spans
                  </th>
                  <th scope="col">Trace</th>
                </>
              }
              row={(row) => <Row row={row} />}
            />
            <ListFoot pages={pages} what="trace" />
          </div>
        )
      }
    </Loaded>
  )
}

function Row({ row }: { row: TraceRow }) {
  return (
    <>
      <td>
        <Time at={row.at} />
      </td>
      <td class="wide">
        {row.failed && <Sign severity="bad" word="failed" />}
        <a class="row-link" href={href({ screen: 'trace', traceId: row.traceId, spanId: null })}>
          <Name text={row.title} length={80} />
        </a>
        {row.status !== null && <span class={row.status >= 500 ? 'notable' : 'quiet'}> {row.status}</span>}
      </td>
      <td class="wide tasks-cell">
        <Name text={row.tasks.join(', ')} length={80} />
      </td>
      <td class="number-cell">{duration(row.duration)}</td>
      <td class="number-cell">{count(row.spans)}</td>
      <td class="mono quiet">{row.traceId.slice(0, 8)}</td>
    </>
  )
}
