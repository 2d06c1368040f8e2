import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { boundedText } from '../model/bounded-text.ts'
import type { KeptSpan } from '../telemetry/recent-traces.ts'
import type { ReadableSpan } from './sdk-types.ts'

/** What is kept of one span at most. */
const ATTRIBUTES = 64
const EVENTS = 16
const LINKS = 128
const KEY = 100
const VALUE = 500
/** Of an exception's stack. */
const STACK = 4_000
const NAME = 200

const KINDS: Readonly<Record<SpanKind, KeptSpan['kind']>> = {
  [SpanKind.INTERNAL]: 'internal',
  [SpanKind.SERVER]: 'server',
  [SpanKind.CLIENT]: 'client',
  [SpanKind.PRODUCER]: 'producer',
  [SpanKind.CONSUMER]: 'consumer',
}

/** A span as it is kept: of bounded size, and without the objects of the SDK and of the app. */
export function keptSpan(span: ReadableSpan): KeptSpan {
  const { traceId, spanId } = span.spanContext()
  const { parentSpanContext: parent, status, links, events, ended } = span
  return {
    spanId,
    traceId,
    parent: parent?.spanId,
    remoteParent: parent?.isRemote === true,
    name: boundedText(span.name, NAME),
    kind: KINDS[span.kind] ?? 'internal',
    start: milliseconds(span.startTime),
    end: ended ? milliseconds(span.endTime) : undefined,
    error: status.code === SpanStatusCode.ERROR ? boundedText(status.message ?? '', VALUE) : undefined,
    attributes: texts(span.attributes),
    events:
      events.length === 0
        ? NONE
        : events.slice(-EVENTS).map(({ time, name, attributes }) => ({
            at: milliseconds(time),
            name: boundedText(name, NAME),
            attributes: attributes === undefined ? NONE : texts(attributes),
          })),
    links:
      links.length === 0
        ? NONE
        : links.slice(0, LINKS).map(({ context }) => ({ traceId: context.traceId, spanId: context.spanId })),
  }
}

/** Roughly what it takes in memory, bytes. */
export function bytesOf({ name, error, attributes, events, links }: KeptSpan): number {
  let bytes = 450 + name.length + (error?.length ?? 0) + 80 * links.length + bytesOfTexts(attributes)
  for (const event of events) bytes += 100 + event.name.length + bytesOfTexts(event.attributes)
  return bytes
}

const NONE: readonly never[] = Object.freeze([])

/** OpenTelemetry's [seconds, nanoseconds]. */
export function milliseconds([seconds, nanoseconds]: ReadableSpan['endTime']): number {
  return seconds * 1_000 + nanoseconds / 1_000_000
}

function texts(attributes: ReadableSpan['attributes']): KeptSpan['attributes'] {
  const found: (readonly [string, string])[] = []
  for (const key in attributes) {
    const value = attributes[key]
    if (value === undefined) continue
    if (found.length === ATTRIBUTES) break
    const limit = key === 'exception.stacktrace' ? STACK : VALUE
    found.push([boundedText(key, KEY), boundedText(typeof value === 'string' ? value : textOf(value), limit)])
  }
  return found
}

/** A list may be long: only as much of it is read as is shown. */
function textOf(value: unknown): string {
  if (!Array.isArray(value)) return String(value)
  const parts: string[] = []
  let length = 0
  for (const part of value) {
    const text = String(part).slice(0, VALUE)
    parts.push(text)
    length += text.length
    if (length > VALUE) break
  }
  return parts.join(', ')
}

/** Characters that are not Latin take two bytes each; keys are shared. */
function bytesOfTexts(attributes: KeptSpan['attributes']): number {
  let bytes = 16
  for (const [, value] of attributes) bytes += 75 + value.length
  return bytes
}
