/** Who holds back spans until all work of their trace has ended. */
export interface TraceHolder {
  /** Work of this trace is to come, of which no span is open. */
  hold(traceId: string): void
  release(traceId: string): void
}

/**
 * Tells a span processor that decides by whole traces of tasks that wait: between two attempts, or before the first, a task has no
 * open span, and its trace would look complete.
 */
export class TraceHolds {
  #holder: TraceHolder | undefined

  set(holder: TraceHolder | undefined): void {
    this.#holder = holder
  }

  hold(traceId: string | undefined): void {
    if (traceId !== undefined) this.#holder?.hold(traceId)
  }

  release(traceId: string | undefined): void {
    if (traceId !== undefined) this.#holder?.release(traceId)
  }
}

export const traceHolds = new TraceHolds()
