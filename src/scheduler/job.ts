import type { DeferOptions } from '../model/options.ts'
import type { Outcome, Priority, State } from '../model/words.ts'
import type { Ranked } from './heap.ts'
import type { TaskQueue } from './task-queue.ts'

/** One run of a handler, as long as it holds a slot. */
export interface Run<J> {
  readonly job: J
  /** The attempt has not ended; when it has and the run remains, the run is a zombie. */
  live: boolean
}

/**
 * One deferral, as the scheduler sees it. Background derives its own class from this one, with the payload, the handler
 * and the origin; one object for both keeps a queued task small.
 */
export class Job implements Ranked {
  readonly id: string
  readonly seq: number
  readonly task: TaskQueue<this>
  readonly priority: Priority
  readonly key: string | undefined
  /** Intended delay, ms. */
  readonly delay: number
  readonly deferredAt: number
  /** Where it is; undefined before it is accepted and after its outcome. */
  state: State | undefined = undefined
  outcome: Outcome | undefined = undefined
  /** The current or latest attempt, from 1; 0 before the first. */
  attempt = 0
  /** When it last became ready, clock ms. */
  readyAt = 0
  /** When the current or latest attempt started, clock ms. */
  startedAt = 0
  /** Why it did not complete. */
  error: unknown = undefined
  run: Run<this> | undefined = undefined

  // Its one timer, whose meaning is that of the state: held → maxHold, delayed → delay, retrying → backoff, running → timeout.
  rank = 0
  place = -1

  // Its neighbours in the lane, while it is ready.
  previous: this | undefined = undefined
  next: this | undefined = undefined

  constructor(id: string, seq: number, task: TaskQueue<never>, options: DeferOptions, now: number) {
    this.id = id
    this.seq = seq
    this.task = task as unknown as TaskQueue<this>
    this.priority = options.priority ?? task.plan.priority
    this.key = options.key
    this.delay = options.delay ?? 0
    this.deferredAt = now
  }

  /** How long the current or latest attempt waited for its start, ms. */
  get wait(): number {
    return Math.max(0, this.startedAt - this.readyAt)
  }
}
