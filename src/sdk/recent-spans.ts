import { type Context, type Span, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { checkNumber, checkObject, MAX_MS } from '../model/check.ts'
import {
  type KeptSpan,
  type KeptTrace,
  OWN_REQUEST,
  type RecentTraces,
  recentTraces,
  type TracePage,
  type TraceQuery,
} from '../telemetry/recent-traces.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import { traceHolds } from '../telemetry/trace-holds.ts'
import { keptSpan, milliseconds } from './kept-span.ts'
import { KeptTraces } from './kept-traces.ts'
import type { ReadableSpan, SpanProcessor } from './sdk-types.ts'
import { Share } from './share.ts'
import { type Group, TraceGroups } from './trace-groups.ts'
import { matches } from './trace-query.ts'

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
/** What is not over yet: so many spans, and for so long, ms; then it is kept as far as it is known. */
const UNDECIDED = 10_000
const PATIENCE = 10_000
/** How often is looked for it, ms. */
const LOOK = 1_000
/** How many traces are remembered at least that were let go, for what comes late. */
const REMEMBERED = 2_500

/**
 * Keeps the latest spans in this process for the page inside the app, `dashboard()` of `afterspan/dashboard`. It costs nothing until
 * one is mounted. It is in place where `register` or `startTelemetry` set up the telemetry; in a set-up of one's own it goes
 * among the span processors.
 *
 * A request and its background work are one, and kept as one when all of it is over: if anything failed or was slow, and of the
 * others as many as make sense, up to 20 a second. What lives for so short a time is never copied, nor does it grow old.
 */
export class RecentSpans implements SpanProcessor, RecentTraces {
  readonly #kept: KeptTraces
  readonly #groups = new TraceGroups()
  readonly #share = new Share()
  readonly #slow: number
  readonly #slowTask: number
  /** By span id, the oldest first. */
  readonly #open = new Map<string, ReadableSpan>()
  /** The latest, and those before: to take single ones out of a set is dear when they are many. */
  #letGo = new Set<string>()
  #letGoBefore = new Set<string>()
  #lookedAt = 0
  #undecided = 0
  #endHolding: (() => void) | undefined

  /** @throws AfterspanError ERR_AFTERSPAN_OPTION. */
  constructor(options?: RecentSpansOptions) {
    const given = checkObject('options', options, ['maxBytes', 'slow', 'slowTask'])
    const time = { min: 0, max: MAX_MS }
    this.#kept = new KeptTraces(checkNumber('maxBytes', given.maxBytes, { min: 100_000, max: 1e9 }) ?? 8_000_000)
    this.#slow = checkNumber('slow', given.slow, time) ?? 1_000
    this.#slowTask = checkNumber('slowTask', given.slowTask, time) ?? 10_000
    recentTraces.set(this)
  }

  start(): void {
    this.#endHolding ??= traceHolds.add({
      hold: (traceId) => this.#groups.hold(traceId),
      release: (traceId) => {
        const group = this.#groups.release(traceId)
        if (group !== undefined) this.#closed(group)
      },
    })
  }

  onStart(span: Span & ReadableSpan, _context: Context): void {
    if (this.#endHolding === undefined) return
    const { traceId, spanId } = span.spanContext()
    this.#open.set(spanId, span)
    if (this.#open.size > OPEN) {
      const [oldest] = this.#open.keys()
      this.#open.delete(oldest!)
    }
    if (this.#isDecided(traceId)) return
    const now = performance.now()
    const group = this.#groups.of(traceId, now)
    group.open++
    for (const { context } of span.links) this.#groups.merge(this.#groups.find(traceId)!, context.traceId)
    this.#decideOld(now)
  }

  onEnd(span: ReadableSpan): void {
    if (this.#endHolding === undefined) return
    const { traceId, spanId } = span.spanContext()
    this.#open.delete(spanId)
    const notable = this.#isNotable(span)
    if (this.#isDecided(traceId)) {
      // A failure that comes after its trace was let go is worth being seen on its own.
      if (notable || this.#kept.get(traceId) !== undefined) this.#keep(span, notable)
      return
    }
    const group = this.#groups.of(traceId, performance.now())
    // Also those that were added after the start.
    for (const { context } of span.links) this.#groups.merge(this.#groups.find(traceId)!, context.traceId)
    const whole = this.#groups.find(traceId) ?? group
    whole.spans.push(span)
    this.#undecided++
    if (notable) whole.reason = 'error'
    this.#closed(whole)
    while (this.#undecided > UNDECIDED) this.#decide(this.#groups.oldest()!, true)
  }

  #isDecided(traceId: string): boolean {
    return this.#letGo.has(traceId) || this.#letGoBefore.has(traceId) || this.#kept.get(traceId) !== undefined
  }

  #closed(group: Group): void {
    group.open--
    if (group.open <= 0) this.#decide(group, false)
  }

  #decideOld(now: number): void {
    if (now - this.#lookedAt < LOOK) return
    this.#lookedAt = now
    for (
      let group = this.#groups.oldest();
      group !== undefined && now - group.since > PATIENCE;
      group = this.#groups.oldest()
    ) {
      this.#decide(group, true)
    }
  }

  /** @param early It is not over: it may yet fail, and is kept until it has to make room. */
  #decide(group: Group, early: boolean): void {
    this.#groups.remove(group)
    this.#undecided -= group.spans.length
    const notable = group.reason !== undefined
    const kept = notable || early || this.#isLinkedToKept(group) || this.#share.takes(group.spans)
    if (kept && !group.spans.some(isOwnRequest)) {
      for (const span of group.spans) this.#keep(span, notable)
      return
    }
    for (const traceId of group.traces) this.#letGo.add(traceId)
    if (this.#letGo.size < REMEMBERED) return
    this.#letGoBefore = this.#letGo
    this.#letGo = new Set()
  }

  #isLinkedToKept({ traces, spans }: Group): boolean {
    for (const traceId of traces) if (this.#kept.isLinkedTo(traceId)) return true
    return spans.some(({ links }) => links.some(({ context }) => this.#kept.get(context.traceId) !== undefined))
  }

  #keep(span: ReadableSpan, notable: boolean): void {
    const plain = plainSpan(span)
    if (plain !== undefined) this.#kept.add(plain, notable)
  }

  #isNotable({ status, kind, duration, attributes }: ReadableSpan): boolean {
    if (status.code === SpanStatusCode.ERROR) return true
    const ms = milliseconds(duration)
    if (kind === SpanKind.SERVER) return ms >= this.#slow
    return ms >= this.#slowTask && attributes['task.result'] !== undefined
  }

  find(query: TraceQuery, after: string | undefined, limit: number): TracePage {
    const traces: KeptTrace[] = []
    if (after === undefined) {
      const undecided = [...this.#groups.all()].flatMap(({ traces }) => [...traces]).reverse()
      for (const traceId of undecided) {
        if (traces.length >= limit) break
        const trace = this.#whole(traceId)
        if (trace.spans.length > 0 && matches(trace, query)) traces.push(trace)
      }
    }
    const before = after === undefined ? Number.POSITIVE_INFINITY : Number(after)
    let last = Number.POSITIVE_INFINITY
    for (const trace of this.#kept.all()) {
      if (!(trace.seq < before) || !matches(trace, query)) continue
      if (traces.length >= limit)
        return { traces, next: String(last === Number.POSITIVE_INFINITY ? trace.seq + 1 : last) }
      traces.push(trace)
      last = trace.seq
    }
    return { traces, next: undefined }
  }

  get(traceId: string): readonly KeptTrace[] {
    const linked = new Set([traceId, ...this.#kept.neighbours(traceId), ...(this.#groups.find(traceId)?.traces ?? [])])
    const traces = [...linked].map((traceId) => this.#whole(traceId))
    return traces[0]!.spans.length === 0 ? [] : traces.filter(({ spans }) => spans.length > 0)
  }

  /** What is kept of a trace, what is undecided, and what has not ended; what they are below of, and is not there, is missing. */
  #whole(traceId: string): KeptTrace {
    const { spans: kept, missing } = this.#kept.get(traceId) ?? { spans: [], missing: 0 }
    const others = [...(this.#groups.find(traceId)?.spans ?? []), ...this.#open.values()]
    const own = others.filter((span) => span.spanContext().traceId === traceId && !isOwnRequest(span))
    const spans: KeptSpan[] = [...kept, ...own.flatMap((span) => plainSpan(span) ?? [])]
    const known = new Set(spans.map(({ spanId }) => spanId))
    const absent = spans.filter(
      ({ parent, remoteParent }) => parent !== undefined && !remoteParent && !known.has(parent),
    )
    return { traceId, spans, missing: Math.max(missing, new Set(absent.map(({ parent }) => parent)).size) }
  }

  kept(): { spans: number; traces: number; bytes: number; limit: number } {
    return this.#kept.figures
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {
    this.#endHolding?.()
    this.#endHolding = undefined
    recentTraces.unset(this)
  }
}

function isOwnRequest({ attributes }: ReadableSpan): boolean {
  return attributes[OWN_REQUEST] === true
}

/** undefined where what the app has put on it cannot be read. */
function plainSpan(span: ReadableSpan): KeptSpan | undefined {
  try {
    return keptSpan(span)
  } catch {
    selfHealth.caught('span')
    return undefined
  }
}
