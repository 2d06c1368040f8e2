import { attributeOf, type KeptSpan, type KeptTrace, recentTraces } from '../telemetry/recent-traces.ts'
import type { Page, TraceDetail, TraceRow, TraceSpan } from './protocol.ts'

const PAGE = 100
const TASKS_SHOWN = 20
/** What ends a moment after the response is not late: clocks of spans are exact to a millisecond, and a response is sent in steps. */
const MARGIN = 1

const NONE: Page<TraceRow> = { items: [], next: null, total: null }

/** A page of the traces that are asked for; empty where no spans are kept. */
export function tracesOf(query: URLSearchParams): Page<TraceRow> {
  const asked = (name: string) => query.get(name)?.slice(0, 300) || undefined
  const page = recentTraces.source?.find(
    {
      trace: asked('trace')?.toLowerCase(),
      id: asked('id'),
      task: asked('task'),
      route: asked('route'),
      error: asked('error'),
      failed: query.get('failed') === '1',
    },
    asked('after'),
    PAGE,
  )
  if (page === undefined) return NONE
  return { items: page.traces.map(rowOf), next: page.next ?? null, total: null }
}

/** A trace with what is linked to it; undefined where nothing of it is kept. */
export function traceDetailOf(traceId: string): TraceDetail | undefined {
  const traces = recentTraces.source?.get(traceId) ?? []
  const [own] = traces
  if (own === undefined) return undefined
  const request = requestOf(own) ?? traces.map(requestOf).find((span) => span !== undefined)
  const respondedAt = request?.end ?? null
  const spans = traces
    .flatMap(({ spans }) => spans)
    .map((span) => traceSpan(span, span === request ? null : respondedAt))
  return { traceId, spans: spans.sort((one, other) => one.start - other.start), missing: own.missing, respondedAt }
}

function rowOf(trace: KeptTrace): TraceRow {
  const { traceId, spans } = trace
  const request = requestOf(trace)
  const first = spans.reduce((first, span) => (span.start < first.start ? span : first))
  const root = request ?? spans.find(({ parent, remoteParent }) => parent === undefined || remoteParent) ?? first
  const last = Math.max(...spans.map(({ start, end }) => end ?? start))
  const route = request && attributeOf(request.attributes, 'http.route')
  const method =
    request &&
    (attributeOf(request.attributes, 'http.request.method') ?? attributeOf(request.attributes, 'http.method'))
  const status =
    request &&
    (attributeOf(request.attributes, 'http.response.status_code') ??
      attributeOf(request.attributes, 'http.status_code'))
  const tasks = new Set(spans.flatMap((span) => attributeOf(span.attributes, 'task.name') ?? []))
  return {
    traceId,
    at: Math.round(first.start),
    title: route === undefined ? root.name : `${method ?? ''} ${route}`.trim(),
    route: route ?? null,
    status: status === undefined ? null : Number(status),
    duration: (last - first.start) / 1000,
    tasks: [...tasks].slice(0, TASKS_SHOWN),
    failed: spans.some(({ error }) => error !== undefined),
    spans: spans.length,
  }
}

/** The span of the request that began it in this process. */
function requestOf({ spans }: KeptTrace): KeptSpan | undefined {
  return spans.find(({ kind, parent, remoteParent }) => kind === 'server' && (parent === undefined || remoteParent))
}

/** @param respondedAt null for the request itself, and where there is none. */
function traceSpan(span: KeptSpan, respondedAt: number | null): TraceSpan {
  const { spanId, traceId, parent, name, kind, start, end, error, attributes, events, links } = span
  const late = respondedAt !== null && (end ?? Number.POSITIVE_INFINITY) > respondedAt + MARGIN
  const task = taskOf(span)
  return {
    spanId,
    traceId,
    parent: parent ?? null,
    name,
    kind,
    start,
    end: end ?? null,
    error: error ?? null,
    attributes,
    events,
    links,
    ...(task !== undefined && { task }),
    late,
  }
}

/** Only attempts have waited. */
function taskOf(span: KeptSpan): TraceSpan['task'] | undefined {
  const name = attributeOf(span.attributes, 'task.name')
  const wait = attributeOf(span.attributes, 'task.wait')
  if (name === undefined || wait === undefined) return undefined
  return {
    name,
    id: attributeOf(span.attributes, 'task.id') ?? '',
    attempt: Number(attributeOf(span.attributes, 'task.attempt') ?? 1),
    wait: Number(wait),
    result: attributeOf(span.attributes, 'task.result') ?? null,
  }
}
