import { type Context, type Span, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { checkFunction, checkNumber, checkObject, MAX_MS } from '../model/check.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import { traceHolds } from '../telemetry/trace-holds.ts'
import type { ReadableSpan, SpanProcessor } from './sdk-types.ts'
import { BurstSpanProcessor } from './span-processor.ts'
import { type Group, TraceGroups, type Verdict } from './trace-groups.ts'

export interface TailSamplingOptions {
  /** Where the spans go that are kept. */
  readonly next: readonly SpanProcessor[]
  /** How many of the traces in which nothing happened are kept, 0 to 1. Default 0.1. */
  readonly share?: number
  /** From when on a request is slow, in ms: 0 to 2^31 - 1. Default 1,000. */
  readonly slow?: number
  /** From when on an attempt of a task is. Default 10,000. */
  readonly slowTask?: number
  /** Keeps the trace of any span for which it returns true; called once for each when it has ended. */
  readonly keepIf?: (span: ReadableSpan) => boolean
  /** How long a trace is held at most, in ms: 1 to 2^31 - 1. Default 60,000. What comes later follows its decision. */
  readonly maxAge?: number
  /** How many spans are held at most, all together: 1 to 10,000,000. Default 100,000. Beyond it the oldest trace is decided early. */
  readonly maxSpans?: number
}

/** How many decisions are remembered for spans that come late. */
const REMEMBERED = 50_000
/** How often is looked for traces that are held for too long, ms. */
const LOOK = 1_000

/**
 * Holds the spans of a request, and of its tasks, until the last of them has ended, and then keeps all of them or none: all if
 * anything failed, was slow, was tried again or was asked for, and a share of the rest.
 *
 * Traces that are linked here are one group with one verdict. The share is drawn from the trace id, so that processes which see the
 * same trace, or one that is linked to it, agree. A span asks for its trace by an attribute `afterspan.keep` or `sampling.priority`
 * above 0. The sampler in front must let everything through.
 */
export class TailSamplingProcessor implements SpanProcessor {
  readonly #next: readonly SpanProcessor[]
  readonly #share: number
  readonly #slow: number
  readonly #slowTask: number
  readonly #keepIf: ((span: ReadableSpan) => boolean) | undefined
  readonly #maxAge: number
  readonly #maxSpans: number
  readonly #groups = new TraceGroups()
  /** Verdicts by trace id, the oldest first. */
  readonly #decided = new Map<string, boolean>()
  readonly #timer: NodeJS.Timeout
  readonly #endHolding: () => void
  #held = 0

  constructor(options: TailSamplingOptions) {
    const known = ['next', 'share', 'slow', 'slowTask', 'keepIf', 'maxAge', 'maxSpans'] as const
    const given = checkObject('options', options, known)
    const time = { min: 0, max: MAX_MS }
    this.#next = options.next
    this.#share = checkNumber('share', given.share, { min: 0, max: 1 }) ?? 0.1
    this.#slow = checkNumber('slow', given.slow, time) ?? 1_000
    this.#slowTask = checkNumber('slowTask', given.slowTask, time) ?? 10_000
    this.#keepIf = checkFunction('keepIf', given.keepIf)
    this.#maxAge = checkNumber('maxAge', given.maxAge, { min: 1, max: MAX_MS }) ?? 60_000
    this.#maxSpans = checkNumber('maxSpans', given.maxSpans, { min: 1, max: 10_000_000, whole: true }) ?? 100_000
    this.#timer = setInterval(() => this.#decideOld(), Math.min(LOOK, this.#maxAge))
    this.#timer.unref()
    this.#endHolding = traceHolds.add({
      hold: (traceId) => this.#groups.hold(traceId),
      release: (traceId) => {
        const group = this.#groups.release(traceId)
        if (group !== undefined) this.#closed(group)
      },
    })
  }

  onStart(span: Span & ReadableSpan, parentContext: Context): void {
    for (const next of this.#next) next.onStart(span, parentContext)
    const { traceId } = span.spanContext()
    if (this.#decided.has(traceId)) return
    const group = this.#groups.of(traceId, performance.now())
    group.open++
    for (const { context } of span.links) this.#join(group, context.traceId)
  }

  onEnd(span: ReadableSpan): void {
    const { traceId } = span.spanContext()
    const decided = this.#decided.get(traceId)
    if (decided !== undefined) {
      // A failure that comes after its trace was let go is worth being seen on its own.
      if (decided || this.#reason(span) === 'error') this.#pass([span])
      return
    }
    const group = this.#groups.find(traceId)
    if (group === undefined) return
    // Also those that were added after the start.
    for (const { context } of span.links) this.#join(group, context.traceId)
    const whole = this.#groups.find(traceId)!
    whole.spans.push(span)
    this.#held++
    whole.reason ??= this.#reason(span)
    this.#closed(whole)
    while (this.#held > this.#maxSpans) {
      const oldest = this.#groups.oldest()
      if (oldest === undefined) break
      this.#decide(oldest, true)
    }
  }

  #join(group: Group, traceId: string): void {
    if (group.traces.has(traceId)) return
    const decided = this.#decided.get(traceId)
    if (decided === true) group.reason ??= 'asked'
    // Linked to a trace of another process, or to one that was let go: the share is drawn as it was for that one.
    if (this.#groups.find(traceId) === undefined) group.drawnFrom ??= traceId
    else this.#groups.merge(group, traceId)
  }

  #closed(group: Group): void {
    group.open--
    if (group.open <= 0) this.#decide(group)
  }

  #decide(group: Group, early = false): void {
    this.#groups.remove(group)
    this.#held -= group.spans.length
    const verdict: Verdict = group.reason ?? this.#draw(group) ?? (early ? 'evicted' : 'rest')
    const kept = verdict !== 'rest' && verdict !== 'evicted'
    selfHealth.sampled(verdict)
    for (const traceId of group.traces) this.#remember(traceId, kept)
    if (kept) this.#pass(group.spans)
  }

  #draw({ drawnFrom, first }: Group): 'share' | undefined {
    return drawn(drawnFrom ?? first) < this.#share ? 'share' : undefined
  }

  #pass(spans: readonly ReadableSpan[]): void {
    for (const span of spans) for (const next of this.#next) next.onEnd(span)
  }

  #remember(traceId: string, kept: boolean): void {
    this.#decided.set(traceId, kept)
    if (this.#decided.size <= REMEMBERED) return
    const [oldest] = this.#decided.keys()
    this.#decided.delete(oldest!)
  }

  #decideOld(): void {
    const before = performance.now() - this.#maxAge
    for (
      let group = this.#groups.oldest();
      group !== undefined && group.since <= before;
      group = this.#groups.oldest()
    ) {
      this.#decide(group)
    }
  }

  #reason(span: ReadableSpan): Verdict | undefined {
    const { attributes, status, kind, duration } = span
    if (status.code === SpanStatusCode.ERROR) return 'error'
    if (attributes['afterspan.keep'] === true || Number(attributes['sampling.priority']) > 0) return 'asked'
    if (Number(attributes['task.attempt']) > 1 || attributes['task.redelivered'] === true) return 'retried'
    const ms = duration[0] * 1_000 + duration[1] / 1_000_000
    if (kind === SpanKind.SERVER && ms >= this.#slow) return 'slow'
    if (attributes['task.result'] !== undefined && ms >= this.#slowTask) return 'slow'
    try {
      return this.#keepIf?.(span) === true ? 'asked' : undefined
    } catch {
      selfHealth.caught('span')
      return undefined
    }
  }

  async forceFlush(): Promise<void> {
    await Promise.all(this.#next.map((next) => next.forceFlush()))
  }

  /** The process ends now: what sends the spans counts what it has not sent. */
  abandon(): void {
    this.#decideAll()
    for (const next of this.#next) if (next instanceof BurstSpanProcessor) next.abandon()
  }

  #decideAll(): void {
    for (let group = this.#groups.oldest(); group !== undefined; group = this.#groups.oldest()) this.#decide(group)
  }

  /** Decides what is held, by what is known of it. */
  async shutdown(): Promise<void> {
    clearInterval(this.#timer)
    this.#endHolding()
    this.#decideAll()
    await Promise.all(this.#next.map((next) => next.shutdown()))
  }
}

/** From 0 up to, not including, 1, by the last 7 bytes of the trace id, which W3C Trace Context level 2 has as random. */
function drawn(traceId: string): number {
  return Number.parseInt(traceId.slice(-13), 16) / 16 ** 13
}
