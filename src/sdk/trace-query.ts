import { attributeOf, type KeptSpan, type KeptTrace, type TraceQuery } from '../telemetry/recent-traces.ts'

/** Whether a trace is what is looked for. */
export function matches({ traceId, spans }: KeptTrace, query: TraceQuery): boolean {
  const { trace, id, task, route, error, failed } = query
  const some = (wanted: (span: KeptSpan) => boolean) => spans.some(wanted)
  const has = (key: string, value: string) => some(({ attributes }) => attributeOf(attributes, key) === value)
  return (
    (trace === undefined || traceId.startsWith(trace)) &&
    (failed !== true || some((span) => span.error !== undefined)) &&
    (id === undefined || has('task.id', id)) &&
    (task === undefined || has('task.name', task)) &&
    (route === undefined || has('http.route', route)) &&
    (error === undefined || some((span) => mentions(span, error.toLowerCase())))
  )
}

function mentions({ error, attributes, events }: KeptSpan, text: string): boolean {
  const messages = events.map(({ attributes }) => attributeOf(attributes, 'exception.message'))
  return [error, attributeOf(attributes, 'error.type'), ...messages].some(
    (value) => value?.toLowerCase().includes(text) === true,
  )
}
