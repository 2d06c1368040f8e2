import { INVALID_SPANID, INVALID_TRACEID, type SpanContext } from '@opentelemetry/api'

/** W3C Trace Context, version 00: https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** The span that a `traceparent` names; undefined where it names none. */
export function parseTraceparent(text: unknown): SpanContext | undefined {
  const [, traceId, spanId, flags] = (typeof text === 'string' && TRACEPARENT.exec(text)) || []
  if (traceId === undefined || spanId === undefined) return undefined
  if (traceId === INVALID_TRACEID || spanId === INVALID_SPANID) return undefined
  return { traceId, spanId, traceFlags: Number.parseInt(flags!, 16), isRemote: true }
}

/** undefined where there is no span. */
export function traceparentOf(span: SpanContext | undefined): string | undefined {
  if (span === undefined || span.traceId === INVALID_TRACEID) return undefined
  return `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, '0')}`
}
