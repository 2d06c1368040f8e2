import { SpanKind } from '@opentelemetry/api'
import type { ReadableSpan } from './sdk-types.ts'

/** How many traces in which nothing happened are kept a second, in the long run, and how many at once. */
const PER_SECOND = 20
const AT_ONCE = 500
/** Of each kind one a second is kept besides, so that what is seldom is not lost among what is frequent. ms. */
const EACH = 1_000
const KINDS = 100

/** Says which traces are kept in which nothing happened: all of them, as long as there are few. */
export class Share {
  #tokens = AT_ONCE
  #at = performance.now()
  /** When one of this kind was kept last. */
  readonly #kinds = new Map<string, number>()

  takes(spans: readonly ReadableSpan[]): boolean {
    const now = performance.now()
    this.#tokens = Math.min(AT_ONCE, this.#tokens + ((now - this.#at) / 1_000) * PER_SECOND)
    this.#at = now
    const kind = kindOf(spans)
    const last = this.#kinds.get(kind)
    const isFirst = last === undefined ? this.#kinds.size < KINDS : now - last >= EACH
    if (!isFirst && this.#tokens < 1) return false
    if (isFirst) this.#kinds.set(kind, now)
    else this.#tokens--
    return true
  }
}

/** The route of its request, or the name of what ended last. */
function kindOf(spans: readonly ReadableSpan[]): string {
  const request = spans.find(({ kind }) => kind === SpanKind.SERVER)
  const route = request?.attributes['http.route']
  return typeof route === 'string' ? route : (request?.name ?? spans.at(-1)?.name ?? '')
}
