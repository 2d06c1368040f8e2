import type { KeptSpan, KeptTrace } from '../telemetry/recent-traces.ts'
import { bytesOf } from './kept-span.ts'

/** One trace may have so many spans, and links to so many others; the rest is counted, or left out. */
const SPANS_PER_TRACE = 500
/** So many more, where they are requests: they come last, and say when the response was over. A client may send one id with all. */
const REQUESTS_PER_TRACE = 50
const LINKS_PER_TRACE = 200
/** A trace is shown with so many others that are linked to it: a batch may be linked to thousands. */
const NEIGHBOURS = 50
/** What nothing happened in may take so much of the room, so that the latest are always there. */
const ORDINARY_SHARE = 0.25

class Entry implements KeptTrace {
  readonly traceId: string
  /** In the order in which they came. */
  readonly seq: number
  readonly spans: KeptSpan[] = []
  readonly links = new Set<string>()
  missing = 0
  bytes = 300
  /** Something in it failed or was slow, or in what is linked to it. */
  notable = false

  constructor(traceId: string, seq: number) {
    this.traceId = traceId
    this.seq = seq
  }
}

/**
 * The latest traces, in bounded memory. A trace goes as a whole. Those in which something failed or was slow, and what is linked to
 * them, stay the longest: the others have a quarter of the room.
 */
export class KeptTraces {
  readonly #maxBytes: number
  readonly #entries = new Map<string, Entry>()
  readonly #ordinary = new Set<Entry>()
  readonly #notable = new Set<Entry>()
  /** By trace id, those that have a link to it. */
  readonly #linkedFrom = new Map<string, Set<Entry>>()
  #seq = 0
  #spans = 0
  #bytes = 0
  #ordinaryBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get figures(): { spans: number; traces: number; bytes: number; limit: number } {
    return { spans: this.#spans, traces: this.#entries.size, bytes: this.#bytes, limit: this.#maxBytes }
  }

  add(span: KeptSpan, notable: boolean): void {
    const entry = this.#of(span.traceId)
    const limit = span.kind === 'server' ? SPANS_PER_TRACE + REQUESTS_PER_TRACE : SPANS_PER_TRACE
    if (entry.spans.length >= limit) entry.missing++
    else {
      entry.spans.push(span)
      this.#spans++
      this.#grow(entry, bytesOf(span))
    }
    for (const { traceId } of span.links) this.#link(entry, traceId)
    if (notable) this.#promote(entry)
    while (this.#bytes > this.#maxBytes && this.#entries.size > 1) this.#evict()
  }

  get(traceId: string): Entry | undefined {
    return this.#entries.get(traceId)
  }

  /** The latest first. */
  all(): readonly (KeptTrace & { readonly seq: number })[] {
    return [...this.#entries.values()].reverse()
  }

  /** Ids of those that are linked to a trace, in either direction. */
  neighbours(traceId: string): string[] {
    const from = [...(this.#linkedFrom.get(traceId) ?? [])].map((entry) => entry.traceId)
    return [...from, ...(this.#entries.get(traceId)?.links ?? [])].slice(0, NEIGHBOURS)
  }

  /** Whether one that is kept has a link to it. */
  isLinkedTo(traceId: string): boolean {
    return this.#linkedFrom.has(traceId)
  }

  #of(traceId: string): Entry {
    let entry = this.#entries.get(traceId)
    if (entry === undefined) {
      entry = new Entry(traceId, this.#seq++)
      this.#entries.set(traceId, entry)
      this.#ordinary.add(entry)
      this.#bytes += entry.bytes
      this.#ordinaryBytes += entry.bytes
    }
    return entry
  }

  #grow(entry: Entry, bytes: number): void {
    entry.bytes += bytes
    this.#bytes += bytes
    if (!entry.notable) this.#ordinaryBytes += bytes
  }

  #link(entry: Entry, traceId: string): void {
    if (traceId === entry.traceId || entry.links.has(traceId) || entry.links.size >= LINKS_PER_TRACE) return
    entry.links.add(traceId)
    this.#grow(entry, 200)
    let from = this.#linkedFrom.get(traceId)
    if (from === undefined) {
      from = new Set()
      this.#linkedFrom.set(traceId, from)
    }
    from.add(entry)
    if (entry.notable) this.#keepLong(this.#entries.get(traceId))
    else if (this.#entries.get(traceId)?.notable === true) this.#keepLong(entry)
  }

  #promote(entry: Entry): void {
    this.#keepLong(entry)
    for (const traceId of entry.links) this.#keepLong(this.#entries.get(traceId))
    for (const other of this.#linkedFrom.get(entry.traceId) ?? []) this.#keepLong(other)
  }

  #keepLong(entry: Entry | undefined): void {
    if (entry === undefined || entry.notable) return
    entry.notable = true
    this.#ordinary.delete(entry)
    this.#notable.add(entry)
    this.#ordinaryBytes -= entry.bytes
  }

  #evict(): void {
    const ordinaryFirst = this.#notable.size === 0 || this.#ordinaryBytes > this.#maxBytes * ORDINARY_SHARE
    const [entry] =
      ordinaryFirst && this.#ordinary.size > 0
        ? this.#ordinary
        : this.#notable.size > 0
          ? this.#notable
          : this.#ordinary
    if (entry === undefined) return
    this.#entries.delete(entry.traceId)
    this.#ordinary.delete(entry)
    this.#notable.delete(entry)
    this.#spans -= entry.spans.length
    this.#bytes -= entry.bytes
    if (!entry.notable) this.#ordinaryBytes -= entry.bytes
    for (const traceId of entry.links) {
      const from = this.#linkedFrom.get(traceId)
      from?.delete(entry)
      if (from?.size === 0) this.#linkedFrom.delete(traceId)
    }
  }
}
