import { AfterspanError } from '../model/errors.ts'
import type { AttemptEnd } from '../model/seam.ts'
import type { Outcome, Priority, Result, State, TaskMode } from '../model/words.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import type { Deferral } from './deferral.ts'

interface TaskEvent {
  readonly id: string
  /** The task's name. */
  readonly task: string
}

/** The events of `tasks.on`, with what their listeners get. */
export interface TaskEvents {
  /** A task was deferred, whatever becomes of it. */
  deferred: TaskEvent & { readonly priority: Priority; readonly delay: number }
  /** An attempt starts. `wait` in ms. */
  started: TaskEvent & { readonly attempt: number; readonly wait: number }
  /** An attempt has ended. `duration` in ms. */
  ended: TaskEvent & {
    readonly attempt: number
    readonly result: Result
    readonly duration: number
    readonly error: unknown
    /** The handler runs on. */
    readonly zombie: boolean
  }
  /** A failed attempt will be made again. */
  retrying: TaskEvent & { readonly attempt: number; readonly error: unknown }
  /** The deferral has its outcome. */
  finished: TaskEvent & { readonly outcome: Outcome; readonly attempts: number; readonly error: unknown }
  /** A task was paused, drained or resumed. */
  mode: { readonly task: string; readonly mode: TaskMode }
}

export type EventName = keyof TaskEvents
export type Listener<E extends EventName> = (event: TaskEvents[E]) => void

const EVENTS: readonly EventName[] = ['deferred', 'started', 'ended', 'retrying', 'finished', 'mode']

/** Tells the app's listeners of the scheduler's work. A listener that throws harms nobody, and is counted. */
export class Events {
  readonly #listeners = new Map<EventName, Set<Listener<never>>>()

  /** Adds a listener; the function that is returned takes it away. */
  on<E extends EventName>(event: E, listener: Listener<E>): () => void {
    if (!EVENTS.includes(event) || typeof listener !== 'function') {
      throw new AfterspanError(
        'ERR_AFTERSPAN_EVENT',
        `tasks.on takes one of ${EVENTS.map((name) => `'${name}'`).join(', ')} and a function.`,
      )
    }
    let listeners = this.#listeners.get(event)
    if (listeners === undefined) {
      listeners = new Set()
      this.#listeners.set(event, listeners)
    }
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#listeners.delete(event)
    }
  }

  deferred(job: Deferral): void {
    if (this.#listeners.has('deferred'))
      this.#emit('deferred', () => ({ ...of(job), priority: job.priority, delay: job.delay }))
  }

  entered(job: Deferral, state: State): void {
    if (state === 'retrying') this.retrying(job)
  }

  retrying(job: Deferral): void {
    this.#emit('retrying', () => ({ ...of(job), attempt: job.attempt, error: job.error }))
  }

  attemptStarted(job: Deferral): void {
    if (this.#listeners.has('started'))
      this.#emit('started', () => ({ ...of(job), attempt: job.attempt, wait: job.wait }))
  }

  attemptEnded(job: Deferral, { result, duration, error, zombie }: AttemptEnd): void {
    if (this.#listeners.has('ended'))
      this.#emit('ended', () => ({ ...of(job), attempt: job.attempt, result, duration, error, zombie }))
  }

  finished(job: Deferral, outcome: Outcome): void {
    if (this.#listeners.has('finished'))
      this.#emit('finished', () => ({ ...of(job), outcome, attempts: job.attempt, error: job.error }))
  }

  mode(task: string, mode: TaskMode): void {
    this.#emit('mode', () => ({ task, mode }))
  }

  #emit<E extends EventName>(event: E, make: () => TaskEvents[E]): void {
    const listeners = this.#listeners.get(event)
    if (listeners === undefined) return
    for (const listener of [...listeners]) {
      try {
        listener(make() as never)
      } catch {
        selfHealth.caught('listener')
      }
    }
  }
}

function of(job: Deferral): TaskEvent {
  return { id: job.id, task: job.task.name }
}
