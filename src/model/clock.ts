/** Where the scheduler gets its time from; a test puts its own in place. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary moment. */
  now(): number
  /**
   * Calls once after at least `ms` milliseconds; the function that is returned takes it back. `idle`: the process need not
   * stay alive for it.
   */
  after(ms: number, call: () => void, idle?: boolean): () => void
  /** Calls once in the next turn of the event loop, after I/O has had its share. */
  nextTurn(call: () => void): void
}

/** Node's own time. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, call, idle = false) {
    const timer = setTimeout(call, ms)
    if (idle) timer.unref()
    return () => clearTimeout(timer)
  },
  nextTurn(call) {
    setImmediate(call)
  },
}
