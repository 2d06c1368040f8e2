import { useRowLinks } from '../parts/row-links.ts'
import { Sign } from '../parts/severity.tsx'
import { Hidden, Name } from '../parts/text.tsx'
import { VirtualTable } from '../parts/virtual-table.tsx'
import { href } from '../router.ts'
import { counted, duration } from '../words/format.ts'
import { Bar, type View } from './bar.tsx'
import { keyOf, type SpanRow, type TraceHead, ticks, type Waterfall } from './layout.ts'

interface Props {
  readonly waterfall: Waterfall
  readonly traceId: string
  readonly view: View
  readonly selected: string | null
  readonly select: (key: string) => void
}

export const ROW = 24

/** Request and background work over one axis of time. */
export function WaterfallChart({ waterfall, traceId, view, selected, select }: Props) {
  const { rows, responded } = waterfall
  const table = useRowLinks<HTMLDivElement>()
  const active = Math.max(
    0,
    rows.findIndex(({ key }) => key === selected),
  )
  return (
    <div class="waterfall" ref={table}>
      <svg class="definitions" width="0" height="0" aria-hidden="true">
        <defs>
          <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <path class="hatch" d="M0 0V6" />
          </pattern>
        </defs>
      </svg>
      <VirtualTable
        class="waterfall-rows"
        label="Spans by time"
        items={rows}
        total={rows.length}
        rowHeight={ROW}
        columns={2}
        keyOf={({ key }) => key}
        reveal={active}
        head={
          <>
            <th scope="col" class="label">
              Span
            </th>
            <th scope="col" class="time">
              <Hidden>Time since the start</Hidden>
              <Axis view={view} responded={responded} />
            </th>
          </>
        }
        row={(row, index) =>
          row.kind === 'trace' ? (
            <Head row={row} />
          ) : (
            <Row
              row={row}
              view={view}
              responded={responded}
              traceId={traceId}
              selected={row.key === selected}
              tabIndex={index === active ? 0 : -1}
              select={select}
            />
          )
        }
      />
    </div>
  )
}

function Head({ row: { traceId, spans } }: { row: TraceHead }) {
  return (
    <td colSpan={2} class="linked">
      linked trace{' '}
      <a class="mono" href={href({ screen: 'trace', traceId, spanId: null })}>
        <Name text={traceId} length={32} />
      </a>{' '}
      <span class="quiet">{counted(spans, 'span')}</span>
    </td>
  )
}

function Row(props: {
  row: SpanRow
  view: View
  responded: number | null
  traceId: string
  selected: boolean
  tabIndex: number
  select: (key: string) => void
}) {
  const { row, view, responded, traceId, selected, tabIndex, select } = props
  const { span, depth } = row
  const length =
    span.end === null ? `${duration((row.to - row.from) / 1_000)}, not ended` : duration((row.to - row.from) / 1_000)
  return (
    <>
      <th scope="row" class="label" style={{ paddingLeft: `${8 + depth * 10}px` }}>
        {span.error !== null && <Sign severity="bad" word="failed" />}
        <a
          class="row-link"
          href={href({ screen: 'trace', traceId, spanId: span.spanId })}
          aria-current={selected ? 'true' : undefined}
          tabIndex={tabIndex}
          onFocus={() => select(keyOf(span))}
          onClick={(event) => {
            event.preventDefault()
            select(keyOf(span))
          }}
        >
          <Name text={span.name} length={70} />
        </a>
        {span.task && span.task.attempt > 1 && <span class="badge">attempt {span.task.attempt}</span>}
        {span.late && <span class="badge">late</span>}
        {span.links.length > 0 && <span class="badge">{counted(span.links.length, 'link')}</span>}
      </th>
      <td class="time">
        <Hidden>{words(row)}</Hidden>
        <Bar row={row} view={view} responded={responded} label={length} />
      </td>
    </>
  )
}

function words({ span, from, to, waitFrom }: SpanRow): string {
  const wait = waitFrom === null ? '' : `waited ${duration(span.task!.wait)}, `
  const end = span.end === null ? 'has not ended' : `took ${duration((to - from) / 1_000)}`
  return `${wait}started at ${duration(from / 1_000)}, ${end}${span.late ? ', after the response' : ''}`
}

function Axis({ view, responded }: { view: View; responded: number | null }) {
  const x = (at: number) => ((at - view.from) / (view.to - view.from)) * 100
  const seen = responded !== null && responded >= view.from && responded <= view.to
  return (
    <svg class="axis" width="100%" height="30" aria-hidden="true">
      {ticks(view.from, view.to, 5)
        .filter((at) => x(at) < 96)
        .map((at) => (
          <g key={at}>
            <line x1={`${x(at)}%`} x2={`${x(at)}%`} y1="22" y2="30" />
            <text x={`${x(at)}%`} y="26" dx="3">
              {duration(at / 1_000)}
            </text>
          </g>
        ))}
      {seen && (
        <text
          class="responded"
          x={`${x(responded)}%`}
          y="11"
          dx={x(responded) > 70 ? -3 : 3}
          text-anchor={x(responded) > 70 ? 'end' : 'start'}
        >
          response over {duration(responded / 1_000)}
        </text>
      )}
      {seen && <line class="responded" x1={`${x(responded)}%`} x2={`${x(responded)}%`} y1="0" y2="30" />}
    </svg>
  )
}
