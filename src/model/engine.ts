import type { AfterspanError } from './errors.ts'
import type { RetryPlan } from './retry.ts'
import type { EngineState, Priority } from './words.ts'

/**
 * An existing queue that runs tasks in other processes. `bullmq()` and `pgBoss()` make one; an engine of one's own is an object
 * of this shape that passes the contract suite in `test/integration/engines/contract.ts`.
 */
export interface Engine {
  /** `messaging.system` of its spans. */
  readonly system: string
  /** How a send is made. */
  readonly sending: {
    /** How long to wait for the engine's answer to one send, ms. */
    readonly timeout: number
    /** How many tasks may wait in this process until the engine can be reached; 0: a send that fails is refused at once. */
    readonly buffer: number
  }
  /**
   * The queue of one task. Called once, by `define`.
   *
   * @throws AfterspanError ERR_AFTERSPAN_ENGINE for what it cannot do.
   */
  define(task: string, plan: EngineTaskPlan): EngineQueue
  /** Lets go of its connections; called when `tasks.close()` has given every deferral its outcome. Called again, it does nothing. */
  close(): Promise<void>
}

/** What an engine needs to know of a task's options, checked and complete. */
export interface EngineTaskPlan {
  readonly priority: Priority
  /** How many attempts may run at once in one process. */
  readonly concurrency: number
  /** ms; undefined: none. */
  readonly timeout: number | undefined
  readonly retry: RetryPlan
}

/** The queue of one task in an engine. */
export interface EngineQueue {
  /** `messaging.destination.name` of its spans. */
  readonly name: string
  /**
   * Puts a task into the queue; resolves when it is there for good. A second call with the same id puts it there once.
   *
   * @returns False where an unfinished task has the same key.
   */
  send(message: Message): Promise<boolean>
  /** Takes a task out that waits; false where there is none, or where it runs or has ended. */
  cancel(id: string): Promise<boolean>
  /** Takes tasks out and has them run. Resolves when it is connected. */
  consume(options: ConsumeOptions): Promise<Consumer>
  depth(): Promise<Depth>
}

/** A task on its way into a queue. */
export interface Message {
  /** A UUID. */
  readonly id: string
  /** What `JSON.stringify` takes. */
  readonly payload: unknown
  readonly priority: Priority
  /** ms. */
  readonly delay: number
  readonly key: string | undefined
  readonly carrier: Carrier
}

/** What travels with a task: W3C trace context and baggage, and what Afterspan has to say of its origin. */
export interface Carrier {
  readonly traceparent?: string
  readonly tracestate?: string
  readonly baggage?: string
  readonly afterspan?: {
    readonly method?: string
    readonly route?: string
    readonly priority?: Priority
  }
}

export interface ConsumeOptions {
  /** How many may run at once, at least 1. */
  readonly concurrency: number
  /** Runs one; resolves when its handler has settled and the engine knows. Never rejects. */
  readonly run: (taken: Taken) => Promise<void>
  /** Something is wrong with the connection, or with the engine. */
  readonly onError: (error: unknown) => void
}

/** Takes tasks out of a queue. */
export interface Consumer {
  /** Takes no more; what runs goes on. Resolves when no more will be taken. */
  stop(): Promise<void>
  /** Lets go of its connections. Called when all that was taken is settled, or cannot be. */
  close(): Promise<void>
}

/** What the engine holds of one task. */
export interface Depth extends Readonly<Record<EngineState, number>> {
  /** Age of the oldest that waits and might run, in seconds; 0 when there is none. */
  readonly oldest: number
}

/** How an attempt failed, as the engine keeps it for inspection and for the next attempt. */
export interface Failure {
  readonly error: unknown
  /** Of the attempt's span, so that the next attempt can be linked to it; undefined where it is not traced. */
  readonly traceparent: string | undefined
  /** The handler has not settled: it keeps its place in the consumer until `run` resolves. */
  readonly outlives: boolean
}

/** A task that an engine has given to this process, for one attempt. */
export interface Taken {
  readonly id: string
  /** The task's name as the queue has it; undefined where it says none. */
  readonly task: string | undefined
  readonly payload: unknown
  readonly carrier: Carrier | undefined
  readonly priority: Priority | undefined
  /** How many times it was started, this one included. */
  readonly attempt: number
  /** How many attempts have failed before. */
  readonly failures: number
  /** How many attempts it may have in all. */
  readonly attempts: number
  /** The span of the attempt before. */
  readonly previous: string | undefined
  /** A process had taken it before and never said how it ended. */
  readonly redelivered: boolean
  /** Why it is not to be run but to fail, such as a task that has ended every process that took it; undefined: it is to be run. */
  readonly refusal: AfterspanError | undefined
  /** When the queue had it: ms since the epoch. */
  readonly acceptedAt: number
  /** From when it might have started to when it was taken, delay and backoff not counted, in ms; negative where clocks differ. */
  readonly wait: number
  /** Asks to be told when somebody else has got it, or may have. */
  onLost(listener: () => void): void
  // Each resolves to false where the task was somebody else's by then, and rejects where the engine cannot be told.
  complete(): Promise<boolean>
  /** No more attempts; it is kept for inspection. */
  fail(failure: Failure): Promise<boolean>
  /** The attempt has failed and is to be made again. @param delay ms. */
  retry(delay: number, failure: Failure): Promise<boolean>
  /** Gives it back as if it had not been taken. @param outlives As in `Failure`. */
  release(outlives: boolean): Promise<boolean>
}
