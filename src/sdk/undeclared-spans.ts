import { type Context, type MeterProvider, type Span, SpanKind, trace } from '@opentelemetry/api'
import { SCOPE } from '../telemetry/catalogue.ts'
import { type UndeclaredWork, undeclaredWork } from '../telemetry/undeclared.ts'
import { type Notice, notice } from './notice.ts'
import type { ReadableSpan, SpanProcessor } from './sdk-types.ts'

export interface UndeclaredSpansOptions {
  /**
   * How long after the end of the SERVER span a span may end without being reported, in ms: 0 to 60,000. Default 10. What
   * handlers do while the response goes out (a `finish` listener, the span of a middleware) ends a little after it.
   */
  readonly margin?: number
  /** Where its metric goes. Default: the global provider. */
  readonly meterProvider?: MeterProvider
  readonly notice?: Notice
  readonly work?: UndeclaredWork
}

/** A request, as long as one of its spans is in reach. */
interface Request {
  route: string | undefined
  /** ms since the epoch; undefined as long as its SERVER span has not ended, and where its response was not sent in full. */
  endedAt: number | undefined
  unsent: boolean
}

/** What is known of a span that belongs to a request. */
interface Known {
  readonly request: Request
  /** undefined for the request's SERVER span. */
  readonly parent: Known | undefined
  /** It is Afterspan's own, or below one of those. */
  readonly declared: boolean
  ended: boolean
}

/**
 * Finds the work that an app does after its responses: spans in a request's trace that end after the SERVER span has ended.
 *
 * A span's parent is looked up in the context in which it starts, where the SDK has the span itself. So nothing is kept for a
 * request but what its own contexts keep, and a callback that comes after an hour is still known. Of spans that enclose one
 * another the outermost is reported: it is the one to wrap.
 */
export class UndeclaredSpans implements SpanProcessor {
  readonly #known = new WeakMap<object, Known>()
  readonly #margin: number
  readonly #meterProvider: MeterProvider | undefined
  readonly #notice: Notice
  readonly #work: UndeclaredWork

  constructor(options: UndeclaredSpansOptions = {}) {
    this.#margin = options.margin ?? 10
    this.#meterProvider = options.meterProvider
    this.#notice = options.notice ?? notice
    this.#work = options.work ?? undeclaredWork
  }

  /**
   * To be given to `HttpInstrumentation` as `applyCustomAttributesOnSpan`. It leaves out requests whose client went away: the SERVER
   * span ends then, but what the handler does is still the work of answering.
   */
  readonly response = (span: object, _request: unknown, response: object): void => {
    const known = this.#known.get(span)
    const { writableFinished } = response as { writableFinished?: boolean }
    if (known !== undefined && writableFinished === false) known.request.unsent = true
  }

  onStart(span: Span & ReadableSpan, parentContext: Context): void {
    if (span.kind === SpanKind.SERVER) {
      const request = { route: undefined, endedAt: undefined, unsent: false }
      this.#known.set(span, { request, parent: undefined, declared: false, ended: false })
      return
    }
    const parent = trace.getSpan(parentContext)
    const known = parent === undefined ? undefined : this.#known.get(parent)
    // A root of a trace of its own has no parent, whatever the context says.
    if (known === undefined || span.parentSpanContext?.spanId !== parent!.spanContext().spanId) return
    const declared = known.declared || span.instrumentationScope.name === SCOPE
    this.#known.set(span, { request: known.request, parent: known, declared, ended: false })
  }

  onEnd(span: ReadableSpan): void {
    const known = this.#known.get(span)
    if (known === undefined) return
    known.ended = true
    const { request } = known
    const endedAt = milliseconds(span.endTime)
    if (known.parent === undefined) {
      if (!request.unsent) request.endedAt = endedAt
      const route = span.attributes['http.route']
      request.route = typeof route === 'string' ? route : undefined
      return
    }
    if (known.declared || request.endedAt === undefined) return
    const late = endedAt - Math.max(request.endedAt, milliseconds(span.startTime))
    if (endedAt - request.endedAt <= this.#margin || late < 0) return
    // What encloses it will be reported when it ends.
    if (known.parent.parent !== undefined && !known.parent.ended) return
    this.#report(request, span, late / 1000)
  }

  #report({ route }: Request, span: ReadableSpan, seconds: number): void {
    if (!this.#work.record(route, span.name, seconds, span.spanContext(), this.#meterProvider)) return
    const after = `${Math.round(seconds * 1000)} ms after the response${route === undefined ? '' : ` of ${route}`}`
    this.#notice(
      `undeclared background work: "${span.name}" went on until ${after}. Nobody limits it, retries it or waits for it at a ` +
        'shutdown; as a task it is seen and controlled: tasks.defer(name, fn), or tasks.track(name, promise).',
    )
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {}
}

/** OpenTelemetry's [seconds, nanoseconds]. */
function milliseconds([seconds, nanoseconds]: ReadableSpan['endTime']): number {
  return seconds * 1_000 + nanoseconds / 1_000_000
}
