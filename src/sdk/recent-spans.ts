import { type Context, type Span, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { checkNumber, checkObject, MAX_MS } from '../model/check.ts'
import {
  type KeptSpan,
  type KeptTrace,
  type RecentTraces,
  recentTraces,
  type TracePage,
  type TraceQuery,
} from '../telemetry/recent-traces.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import { keptSpan } from './kept-span.ts'
import { KeptTraces } from './kept-traces.ts'
import type { ReadableSpan, SpanProcessor } from './sdk-types.ts'

export interface RecentSpansOptions {
  /** How much memory the spans may take, in bytes: 100,000 to 1,000,000,000. Default 8,000,000: about 5,500 spans. */
  readonly maxBytes?: number
  /** From when on a request is slow, in ms: 0 to 2^31 - 1. Default 1,000. Slow ones, and failures, are kept the longest. */
  readonly slow?: number
  /** From when on an attempt of a task is. Default 10,000. */
  readonly slowTask?: number
}

/** How many spans that have not ended are known at most. */
const OPEN = 5_000

/**
 * Keeps the latest spans in this process for the page inside the app, `dashboard()` of `afterspan/dashboard`. It costs nothing until
 * one is mounted. It is in place where `register` or `startTelemetry` set up the telemetry; in a set-up of one's own it goes
 * among the span processors.
 */
export class RecentSpans implements SpanProcessor, RecentTraces {
  readonly #traces: KeptTraces
  readonly #slow: number
  readonly #slowTask: number
  /** The oldest first. */
  readonly #open = new Map<string, ReadableSpan>()
  #started = false

  /** @throws AfterspanError ERR_AFTERSPAN_OPTION. */
  constructor(options?: RecentSpansOptions) {
    const given = checkObject('options', options, ['maxBytes', 'slow', 'slowTask'])
    const time = { min: 0, max: MAX_MS }
    this.#traces = new KeptTraces(checkNumber('maxBytes', given.maxBytes, { min: 100_000, max: 1e9 }) ?? 8_000_000)
    this.#slow = checkNumber('slow', given.slow, time) ?? 1_000
    this.#slowTask = checkNumber('slowTask', given.slowTask, time) ?? 10_000
    recentTraces.set(this)
  }

  start(): void {
    this.#started = true
  }

  onStart(span: Span & ReadableSpan, _context: Context): void {
    if (!this.#started) return
    this.#open.set(span.spanContext().spanId, span)
    if (this.#open.size <= OPEN) return
    const [oldest] = this.#open.keys()
    this.#open.delete(oldest!)
  }

  onEnd(span: ReadableSpan): void {
    if (!this.#started) return
    this.#open.delete(span.spanContext().spanId)
    try {
      this.#traces.add(keptSpan(span), this.#isNotable(span))
    } catch {
      // What the app has put on the span cannot be read.
      selfHealth.caught('span')
    }
  }

  #isNotable({ status, kind, duration, attributes }: ReadableSpan): boolean {
    if (status.code === SpanStatusCode.ERROR) return true
    const ms = duration[0] * 1_000 + duration[1] / 1_000_000
    if (kind === SpanKind.SERVER) return ms >= this.#slow
    return ms >= this.#slowTask && attributes['task.result'] !== undefined
  }

  find(query: TraceQuery, after: string | undefined, limit: number): TracePage {
    const before = after === undefined ? Number.POSITIVE_INFINITY : Number(after)
    const traces: KeptTrace[] = []
    let last = 0
    for (const trace of this.#traces.all()) {
      if (!(trace.seq < before) || !matches(trace, query)) continue
      if (traces.length === limit) return { traces, next: String(last) }
      traces.push(trace)
      last = trace.seq
    }
    return { traces, next: undefined }
  }

  get(traceId: string): readonly KeptTrace[] {
    const open = [...this.#open.values()].filter((span) => span.spanContext().traceId === traceId)
    const entry = this.#traces.get(traceId)
    if (entry === undefined) return open.length === 0 ? [] : [this.#whole({ traceId, spans: [], missing: 0 })]
    return [entry, ...this.#traces.neighbours(entry)].map((trace) => this.#whole(trace))
  }

  /** With its spans that have not ended; what they are below of, and is not kept, is missing. */
  #whole({ traceId, spans, missing }: KeptTrace): KeptTrace {
    const all = [...spans]
    for (const span of this.#open.values()) {
      if (span.spanContext().traceId !== traceId) continue
      try {
        all.push(keptSpan(span))
      } catch {
        selfHealth.caught('span')
      }
    }
    const known = new Set(all.map(({ spanId }) => spanId))
    const absent = all.filter(({ parent, remoteParent }) => parent !== undefined && !remoteParent && !known.has(parent))
    return { traceId, spans: all, missing: Math.max(missing, new Set(absent.map(({ parent }) => parent)).size) }
  }

  kept(): { spans: number; traces: number; bytes: number; limit: number } {
    return this.#traces.figures
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {
    recentTraces.unset(this)
  }
}

function matches({ traceId, spans }: KeptTrace, { trace, id, task, route, error, failed }: TraceQuery): boolean {
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
  const texts = [
    error,
    attributeOf(attributes, 'error.type'),
    ...events.map(({ attributes }) => attributeOf(attributes, 'exception.message')),
  ]
  return texts.some((value) => value?.toLowerCase().includes(text) === true)
}

function attributeOf(attributes: KeptSpan['attributes'], wanted: string): string | undefined {
  return attributes.find(([key]) => key === wanted)?.[1]
}
