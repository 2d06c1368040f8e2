import type { TraceDetail, TraceSpan } from '../../protocol.ts'

export interface SpanRow {
  readonly kind: 'span'
  readonly key: string
  readonly span: TraceSpan
  readonly depth: number
  /** All in ms since the start of the waterfall. */
  readonly from: number
  /** Where it ends, or for one that has not ended, now. */
  readonly to: number
  /** Where its wait began; null where it did not wait. */
  readonly waitFrom: number | null
  /** Where the attempt before it ended. */
  readonly retryFrom: number | null
}

/** The head of the spans of a linked trace. */
export interface TraceHead {
  readonly kind: 'trace'
  readonly key: string
  readonly traceId: string
  readonly spans: number
}

export interface Waterfall {
  readonly rows: readonly (SpanRow | TraceHead)[]
  /** Epoch ms. */
  readonly start: number
  /** ms, never 0. */
  readonly length: number
  /** ms since `start`; null where there was no response. */
  readonly responded: number | null
}

const MAX_DEPTH = 12

export const keyOf = ({ traceId, spanId }: { traceId: string; spanId: string }) => `${traceId}/${spanId}`

/** Puts the spans into the order and the places in which they are drawn. */
export function layOut(trace: TraceDetail, now: number): Waterfall {
  const endOf = (span: TraceSpan) => Math.max(span.start, span.end ?? now)
  const waitStart = (span: TraceSpan) => span.start - Math.max(0, span.task?.wait ?? 0) * 1_000
  let start = trace.respondedAt ?? Number.POSITIVE_INFINITY
  let end = trace.respondedAt ?? Number.NEGATIVE_INFINITY
  for (const span of trace.spans) {
    start = Math.min(start, waitStart(span))
    end = Math.max(end, endOf(span))
  }
  if (!Number.isFinite(start)) start = end = now

  const attempts = new Map<string, TraceSpan>()
  for (const span of trace.spans) if (span.task) attempts.set(attemptKey(span.task.id, span.task.attempt), span)

  const rows: (SpanRow | TraceHead)[] = []
  for (const [traceId, spans] of byTrace(trace)) {
    if (traceId !== trace.traceId) rows.push({ kind: 'trace', key: traceId, traceId, spans: spans.length })
    for (const { span, depth } of inOrder(spans)) {
      const before = span.task && attempts.get(attemptKey(span.task.id, span.task.attempt - 1))
      rows.push({
        kind: 'span',
        key: keyOf(span),
        span,
        depth: Math.min(depth, MAX_DEPTH),
        from: span.start - start,
        to: endOf(span) - start,
        waitFrom: span.task && span.task.wait > 0 ? waitStart(span) - start : null,
        retryFrom: before?.end != null && before.end <= span.start ? before.end - start : null,
      })
    }
  }
  return {
    rows,
    start,
    length: Math.max(end - start, 0.001),
    responded: trace.respondedAt === null ? null : trace.respondedAt - start,
  }
}

const attemptKey = (id: string, attempt: number) => `${attempt} ${id}`

/** Its own spans first, then those of linked traces in the order of their first span. */
function byTrace(trace: TraceDetail): Map<string, TraceSpan[]> {
  const groups = new Map<string, TraceSpan[]>([[trace.traceId, []]])
  for (const span of trace.spans) {
    const group = groups.get(span.traceId)
    if (group) group.push(span)
    else groups.set(span.traceId, [span])
  }
  return groups
}

/** Each below its parent, those of one parent by their start. A parent that is not kept leaves its children at the top. */
function inOrder(spans: readonly TraceSpan[]): { span: TraceSpan; depth: number }[] {
  const known = new Set(spans.map(({ spanId }) => spanId))
  const children = new Map<string | null, TraceSpan[]>()
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    const parent = span.parent !== null && known.has(span.parent) && span.parent !== span.spanId ? span.parent : null
    const siblings = children.get(parent)
    if (siblings) siblings.push(span)
    else children.set(parent, [span])
  }
  const ordered: { span: TraceSpan; depth: number }[] = []
  const placed = new Set<TraceSpan>()
  const place = (root: TraceSpan) => {
    const stack = [{ span: root, depth: 0 }]
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      if (placed.has(next.span)) continue
      placed.add(next.span)
      ordered.push(next)
      const { depth, span } = next
      for (const child of (children.get(span.spanId) ?? []).toReversed()) stack.push({ span: child, depth: depth + 1 })
    }
  }
  for (const root of children.get(null) ?? []) place(root)
  // Spans that are each other's parents, which only a broken sender makes.
  for (const span of spans) place(span)
  return ordered
}

/** Where the lines of an axis stand: at most `most`, at round numbers. */
export function ticks(from: number, to: number, most: number): number[] {
  const rough = (to - from) / Math.max(1, most)
  if (!(rough > 0) || !Number.isFinite(rough)) return []
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough)!
  const found: number[] = []
  for (let at = Math.ceil(from / step); at * step <= to; at++) found.push(Number((at * step).toPrecision(12)))
  return found
}
