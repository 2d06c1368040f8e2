import type { SpanRow } from './layout.ts'

/** The part of the waterfall that is shown, ms since its start. */
export interface View {
  readonly from: number
  readonly to: number
}

const HEIGHT = 24

/** One span in its row: the wait hatched before it, the backoff dotted, what has not ended open to the right. */
export function Bar(props: { row: SpanRow; view: View; responded: number | null; label: string }) {
  const { row, view, responded, label } = props
  const { span, from, to, waitFrom, retryFrom } = row
  const x = (at: number) => ((at - view.from) / (view.to - view.from)) * 100
  const left = x(from)
  const right = x(to)
  const kind = span.error !== null ? 'bad' : span.kind === 'server' ? 'server' : span.task ? 'attempt' : 'inner'
  // The label stands behind the bar, or before it where there is no room behind, also over its wait; in it where all is bar.
  const behind = right < 82
  const start = waitFrom === null ? left : x(waitFrom)
  const before = start > 20 ? start : Math.min(right, 100) - left < 20 ? left : undefined
  const inside = !behind && before === undefined
  const labelX = behind ? right : (before ?? Math.min(right, 100))
  return (
    <svg class="bar" width="100%" height={HEIGHT} aria-hidden="true">
      {retryFrom !== null && <Line className="retry" from={x(retryFrom)} to={x(waitFrom ?? from)} />}
      {waitFrom !== null && (
        <rect
          class="wait"
          x={percent(x(waitFrom))}
          y="7"
          width={width(x(waitFrom), left)}
          height="10"
          fill="url(#hatch)"
        />
      )}
      <rect class={`span ${kind}`} x={percent(left)} y="5" width={width(left, right)} height="14" rx="1" />
      {/* One without any extent must be seen as well. */}
      <rect class={`span ${kind}`} x={percent(left)} y="5" width="2" height="14" />
      {span.end === null && <Line className="open" from={right} to={right} />}
      {responded !== null && <Line className="responded" from={x(responded)} to={x(responded)} />}
      <text
        x={percent(labelX)}
        y="16"
        dx={behind ? 6 : -6}
        text-anchor={behind ? 'start' : 'end'}
        class={inside ? 'inside' : ''}
      >
        {label}
      </text>
    </svg>
  )
}

function Line({ className, from, to }: { className: string; from: number; to: number }) {
  const upright = from === to
  return (
    <line
      class={className}
      x1={percent(from)}
      x2={percent(to)}
      y1={upright ? 0 : HEIGHT / 2}
      y2={upright ? HEIGHT : HEIGHT / 2}
    />
  )
}

/** Far outside of the picture all is the same to the eye, but not to the renderer. */
function percent(value: number): string {
  return `${Math.max(-1_000, Math.min(1_100, value)).toFixed(3)}%`
}

function width(from: number, to: number): string {
  return percent(Math.max(0, Math.min(1_100, to) - Math.max(-1_000, from)))
}
