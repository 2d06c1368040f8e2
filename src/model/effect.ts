import type { Origin } from './origin.ts'

/** What the time to its effect is made of. */
export interface Effective {
  /** Clock ms. */
  readonly deferredAt: number
  readonly origin: Origin | undefined
  /** Of the engine that runs it; undefined where this process does. */
  readonly queue: object | undefined
}

/** ms from the end of the response, or from the deferral where there is no request; on an engine from when it had it. */
export function effectOf({ deferredAt, origin, queue }: Effective, now: number): number {
  const from = origin === undefined || queue !== undefined ? deferredAt : (origin.endedAt ?? now)
  return Math.max(0, now - from)
}
