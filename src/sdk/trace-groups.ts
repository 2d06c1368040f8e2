import type { ReadableSpan } from './sdk-types.ts'

/** Why a trace was kept; or `rest`: let go, `evicted`: let go early, for want of room. */
export type Verdict = 'error' | 'slow' | 'retried' | 'asked' | 'share' | 'rest' | 'evicted'

/** Traces that are linked, with the spans of them that have ended. */
export interface Group {
  readonly traces: Set<string>
  /** The trace that began it. */
  readonly first: string
  /** Milliseconds of `performance.now()`. */
  readonly since: number
  readonly spans: ReadableSpan[]
  /** Spans that have not ended, and tasks that wait. */
  open: number
  /** Why it is kept, as far as is known. */
  reason: Verdict | undefined
  /** A trace of another process, by which the share is drawn. */
  drawnFrom: string | undefined
}

/** Groups by trace id, the oldest first. */
export class TraceGroups {
  readonly #byTrace = new Map<string, Group>()
  readonly #groups = new Set<Group>()
  /** Tasks that wait, by the trace that asked for them. */
  readonly #holds = new Map<string, number>()

  find(traceId: string): Group | undefined {
    return this.#byTrace.get(traceId)
  }

  of(traceId: string, now: number): Group {
    let group = this.#byTrace.get(traceId)
    if (group === undefined) {
      group = {
        traces: new Set([traceId]),
        first: traceId,
        since: now,
        spans: [],
        open: this.#holds.get(traceId) ?? 0,
        reason: undefined,
        drawnFrom: undefined,
      }
      this.#byTrace.set(traceId, group)
      this.#groups.add(group)
    }
    return group
  }

  /** What is known of the group of a trace becomes a part of this one, or this one of it: the older one stays. */
  merge(one: Group, traceId: string): void {
    const other = this.#byTrace.get(traceId)
    if (other === undefined || other === one) return
    const [into, from] = other.since <= one.since ? [other, one] : [one, other]
    for (const trace of from.traces) {
      into.traces.add(trace)
      this.#byTrace.set(trace, into)
    }
    into.spans.push(...from.spans)
    into.open += from.open
    into.reason ??= from.reason
    into.drawnFrom ??= from.drawnFrom
    this.#groups.delete(from)
  }

  /** A task waits that this trace asked for. */
  hold(traceId: string): void {
    this.#holds.set(traceId, (this.#holds.get(traceId) ?? 0) + 1)
    const group = this.find(traceId)
    if (group !== undefined) group.open++
  }

  /** It has its outcome; the group that it held, if there is one. */
  release(traceId: string): Group | undefined {
    const count = this.#holds.get(traceId)
    if (count === undefined) return undefined
    if (count === 1) this.#holds.delete(traceId)
    else this.#holds.set(traceId, count - 1)
    return this.find(traceId)
  }

  /** The oldest first. */
  all(): Iterable<Group> {
    return this.#groups
  }

  oldest(): Group | undefined {
    return this.#groups.values().next().value
  }

  remove(group: Group): void {
    this.#groups.delete(group)
    for (const trace of group.traces) this.#byTrace.delete(trace)
  }
}
