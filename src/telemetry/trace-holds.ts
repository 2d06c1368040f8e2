/** Who holds back spans until all work of their trace has ended. */
export interface TraceHolder {
  /** Work of this trace is to come, of which no span is open. */
  hold(traceId: string): void
  release(traceId: string): void
}

/**
 * Tells span processors that decide by whole traces of tasks that wait: between two attempts, or before the first, a task has no
 * open span, and its trace would look complete.
 */
export class TraceHolds {
  readonly #holders = new Set<TraceHolder>()

  /** The function that is returned takes it away. */
  add(holder: TraceHolder): () => void {
    this.#holders.add(holder)
    return () => void this.#holders.delete(holder)
  }

  hold(traceId: string | undefined): void {
    if (traceId !== undefined) for (const holder of this.#holders) holder.hold(traceId)
  }

  release(traceId: string | undefined): void {
    if (traceId !== undefined) for (const holder of this.#holders) holder.release(traceId)
  }
}

export const traceHolds = new TraceHolds()
