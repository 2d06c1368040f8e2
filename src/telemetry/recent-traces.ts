/** On the span of a request for the page itself, so that looking on leaves no traces among those that are looked at. */
export const OWN_REQUEST = 'afterspan.dashboard'

/** A span that is kept, in plain and bounded values. Times are ms since the epoch, with a fraction. */
export interface KeptSpan {
  readonly spanId: string
  readonly traceId: string
  /** undefined: it is a root. */
  readonly parent: string | undefined
  /** Its parent is another process's. */
  readonly remoteParent: boolean
  readonly name: string
  readonly kind: 'internal' | 'server' | 'client' | 'producer' | 'consumer'
  readonly start: number
  /** undefined: it has not ended. */
  readonly end: number | undefined
  /** Why its status is an error; undefined where it is not. */
  readonly error: string | undefined
  readonly attributes: readonly (readonly [key: string, value: string])[]
  readonly events: readonly {
    readonly at: number
    readonly name: string
    readonly attributes: readonly (readonly [key: string, value: string])[]
  }[]
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
}

/** The value of one attribute; undefined where it is not there. */
export function attributeOf(attributes: KeptSpan['attributes'], wanted: string): string | undefined {
  return attributes.find(([key]) => key === wanted)?.[1]
}

/** One trace, or what is kept of it. */
export interface KeptTrace {
  readonly traceId: string
  readonly spans: readonly KeptSpan[]
  /** Spans that it had and that were not kept. */
  readonly missing: number
}

/** What is looked for; what is not given does not matter. */
export interface TraceQuery {
  /** The whole id, or its beginning. */
  readonly trace?: string | undefined
  /** Of a deferral. */
  readonly id?: string | undefined
  readonly task?: string | undefined
  readonly route?: string | undefined
  /** A part of an error's type or message, whatever its case. */
  readonly error?: string | undefined
  /** Only those in which something failed. */
  readonly failed?: boolean | undefined
}

export interface TracePage {
  readonly traces: readonly KeptTrace[]
  /** To be given as `after` for the next ones; undefined at the end. */
  readonly next: string | undefined
}

/** The spans of the latest requests and tasks. */
export interface RecentTraces {
  /** From now on spans are kept. */
  start(): void
  /** The latest first. */
  find(query: TraceQuery, after: string | undefined, limit: number): TracePage
  /** A trace, and those that are linked to it; empty where none is kept. */
  get(traceId: string): readonly KeptTrace[]
  kept(): { readonly spans: number; readonly traces: number; readonly bytes: number; readonly limit: number }
}

/**
 * Where the page inside the app finds the spans of this process, which only a span processor sees: it stands ready from the start
 * of the telemetry on, and begins when somebody wants to look.
 */
class RecentTracesPlace {
  #source: RecentTraces | undefined
  #wanted = false

  get source(): RecentTraces | undefined {
    return this.#source
  }

  /** The latest one that is made is asked. */
  set(source: RecentTraces): void {
    this.#source = source
    if (this.#wanted) source.start()
  }

  /** It keeps nothing any more. */
  unset(source: RecentTraces): void {
    if (this.#source === source) this.#source = undefined
  }

  /** Somebody will look. */
  want(): void {
    this.#wanted = true
    this.#source?.start()
  }
}

export const recentTraces = new RecentTracesPlace()
