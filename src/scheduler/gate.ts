import type { Priority } from '../model/words.ts'

/**
 * Says, beside the free slots, which priorities may start. Where it has said no, it calls `resume` of the scheduler once that
 * may have changed; when an attempt ends the scheduler asks by itself. It concerns what waits for a slot of this process:
 * not what an engine gives to it, nor what runs already (`track`).
 */
export interface Gate {
  admits(priority: Priority, now: number): boolean
  /** A slot was taken. */
  started(priority: Priority, now: number): void
  /** It is free again, `ran` ms later. */
  ended(priority: Priority, ran: number, now: number): void
}
