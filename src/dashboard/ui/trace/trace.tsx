import type { ComponentChildren } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import type { TraceDetail } from '../../protocol.ts'
import { config } from '../config.ts'
import { useQuery } from '../data/query.ts'
import { serverNow } from '../data/server-clock.ts'
import { Copy } from '../parts/copy.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { Name } from '../parts/text.tsx'
import { Moment } from '../parts/time.tsx'
import { encode, href } from '../router.ts'
import { replaceRoute } from '../use-route.ts'
import { count, counted, duration } from '../words/format.ts'
import type { View } from './bar.tsx'
import { layOut, type SpanRow } from './layout.ts'
import { SpanDetail } from './span-detail.tsx'
import { WaterfallChart } from './waterfall.tsx'

/** What is over for a minute gets no more spans, and may be large. */
function again({ spans }: TraceDetail): number | null {
  const grows = spans.some(({ end }) => end === null || serverNow() - end < 60_000)
  return grows || spans.length === 0 ? 3_000 : null
}

export function TraceScreen({ traceId, spanId }: { traceId: string; spanId: string | null }) {
  const query = useQuery(`api/traces/${encode(traceId)}`, again)
  const jaeger = config.traceUrl?.replaceAll('{traceId}', encodeURIComponent(traceId))
  return (
    <>
      <div class="title">
        <h1>{query.data ? <Title trace={query.data} /> : 'Trace'}</h1>
        <p class="links">
          <span class="mono">
            <Name text={traceId} length={40} />
          </span>
          <Copy text={traceId} what="trace id" />
          {jaeger && /^https?:/.test(jaeger) && (
            <a href={jaeger} target="_blank" rel="noreferrer noopener">
              open in Jaeger<span class="hidden"> (a new tab)</span>
            </a>
          )}
        </p>
      </div>
      <Loaded query={query} rows={16}>
        {(trace) => <Detail trace={trace} spanId={spanId} />}
      </Loaded>
    </>
  )
}

function Title({ trace }: { trace: TraceDetail }) {
  const own = trace.spans.filter((span) => span.traceId === trace.traceId)
  const root = own.find(({ kind }) => kind === 'server') ?? own.find(({ parent }) => parent === null) ?? own[0]
  return root ? <Name text={root.name} length={100} /> : <>Trace</>
}

function Detail({ trace, spanId }: { trace: TraceDetail; spanId: string | null }) {
  const waterfall = useMemo(() => layOut(trace, serverNow()), [trace])
  const [view, setView] = useState<View | null>(null)
  const spans = waterfall.rows.filter((row): row is SpanRow => row.kind === 'span')
  const known = useMemo(() => new Map(spans.map(({ key, span }) => [key, span.name])), [waterfall])
  if (spans.length === 0) return <Empty title="None of its spans are kept any more." />

  const shown = view ?? { from: 0, to: waterfall.length }
  const selected =
    spans.find(({ span }) => span.spanId === spanId) ?? spans.find(({ span }) => span.error !== null) ?? spans[0]!
  const select = (key: string) => {
    const row = spans.find((candidate) => candidate.key === key)
    if (row) replaceRoute(href({ screen: 'trace', traceId: trace.traceId, spanId: row.span.spanId }))
  }
  const late = spans.filter(({ span }) => span.late).length
  const failed = spans.filter(({ span }) => span.error !== null).length
  return (
    <>
      <p class="facts">
        <Moment at={waterfall.start} />
        <span>{duration(waterfall.length / 1_000)} in all</span>
        <span>{counted(spans.length, 'span')}</span>
        {failed > 0 && <span class="notable">{count(failed)} failed</span>}
        {late > 0 && <span>{count(late)} late</span>}
        {waterfall.responded === null ? (
          <span>no response</span>
        ) : (
          <span>response over after {duration(waterfall.responded / 1_000)}</span>
        )}
        {trace.missing > 0 && <span class="notable">{counted(trace.missing, 'span')} not kept any more</span>}
      </p>
      <p class="tools">
        <button type="button" class="small" onClick={() => setView(around(selected, waterfall.length))}>
          Zoom to the span
        </button>
        <button type="button" class="small" disabled={view === null} onClick={() => setView(null)}>
          Whole trace
        </button>
        <Legend />
      </p>
      <div class="trace-panes">
        <WaterfallChart
          waterfall={waterfall}
          traceId={trace.traceId}
          view={shown}
          selected={selected.key}
          select={select}
        />
        <SpanDetail span={selected.span} start={waterfall.start} known={known} select={select} />
      </div>
    </>
  )
}

/** The span with its wait and a little room on both sides. */
function around({ from, to, waitFrom }: SpanRow, length: number): View {
  const start = waitFrom ?? from
  const room = Math.max((to - start) * 0.15, length / 10_000)
  return { from: start - room, to: to + room }
}

function Legend() {
  return (
    <span class="legend" aria-hidden="true">
      <Key word="wait">
        <rect class="wait" width="18" height="10" fill="url(#hatch)" />
      </Key>
      <Key word="attempt">
        <rect class="span attempt" width="18" height="10" />
      </Key>
      <Key word="backoff">
        <line class="retry" x2="18" y1="5" y2="5" />
      </Key>
      <Key word="response over">
        <line class="responded" x1="9" x2="9" y2="10" />
      </Key>
    </span>
  )
}

function Key({ word, children }: { word: string; children: ComponentChildren }) {
  return (
    <span>
      <svg width="18" height="10" aria-hidden="true">
        {children}
      </svg>
      {word}
    </span>
  )
}
