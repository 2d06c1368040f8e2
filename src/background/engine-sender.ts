import type { Clock } from '../model/clock.ts'
import type { EngineQueue, Message } from '../model/engine.ts'
import { AfterspanError, CancelledError } from '../model/errors.ts'
import type { Scheduler } from '../scheduler/scheduler.ts'
import type { Deferral } from './deferral.ts'
import type { Observers } from './observers.ts'

export interface EngineSenderOptions {
  readonly clock: Clock
  readonly scheduler: () => Scheduler<Deferral>
  readonly observers: Observers
  readonly queue: EngineQueue
  /** ms. */
  readonly timeout: number
  /** How many may wait for the engine in this process. */
  readonly buffer: number
}

/** A deferral on its way. */
interface Sending {
  readonly job: Deferral
  readonly message: Message
  /** The schema's answer, where it comes later. */
  readonly checked: Promise<void> | undefined
  /** It was cancelled while the engine was asked to take it. */
  unwanted: unknown
}

/** How many are sent at once when the engine can be reached again. */
const AT_ONCE = 50
/** Bounds of the time between two tries to reach it, ms. */
const FIRST_PAUSE = 100
const LONGEST_PAUSE = 5_000

const WANTED = Symbol('wanted')

/**
 * Brings the deferrals of one task to its engine. One that cannot be sent is refused, or waits in a bounded buffer, in order,
 * until the engine can be reached again: then one is tried alone, and those behind it follow when it was taken.
 */
export class EngineSender {
  readonly #options: EngineSenderOptions
  readonly #sending = new Map<Deferral, Sending>()
  readonly #buffer = new Set<Sending>()
  #draining = false

  constructor(options: EngineSenderOptions) {
    this.#options = options
  }

  send(job: Deferral, message: Message, checked: Promise<void> | undefined): void {
    const sending: Sending = { job, message, checked, unwanted: WANTED }
    this.#sending.set(job, sending)
    if (this.#buffer.size > 0) this.#keep(sending, undefined)
    else void this.#try(sending)
  }

  /** Ends a deferral that has not been accepted; false when it has been. */
  cancel(job: Deferral, reason: unknown): boolean {
    const sending = this.#sending.get(job)
    if (sending === undefined || job.state === undefined) return false
    if (this.#buffer.delete(sending)) this.#end(sending, 'cancelled', new CancelledError(job.task.name, reason))
    else sending.unwanted = reason
    return true
  }

  /** False: the engine could not be reached, and it was kept or refused. */
  async #try(sending: Sending): Promise<boolean> {
    const { job, message, checked } = sending
    try {
      await checked
    } catch (error) {
      this.#end(sending, 'dropped', error)
      return true
    }
    try {
      const isNew = await this.#withinTime(this.#options.queue.send(message))
      await this.#accepted(sending, isNew)
      return true
    } catch (error) {
      if (job.state === undefined) return true
      if (sending.unwanted !== WANTED)
        this.#end(sending, 'cancelled', new CancelledError(job.task.name, sending.unwanted))
      else this.#keep(sending, error)
      return false
    }
  }

  async #accepted(sending: Sending, isNew: boolean): Promise<void> {
    const { job, message } = sending
    if (!isNew) {
      this.#options.observers.deduplicated(job)
      this.#end(sending, 'cancelled', new CancelledError(job.task.name, 'an unfinished task has the same key'), true)
      return
    }
    if (sending.unwanted !== WANTED) {
      const out = await this.#withinTime(this.#options.queue.cancel(message.id)).catch(() => false)
      if (out) {
        this.#end(sending, 'cancelled', new CancelledError(job.task.name, sending.unwanted))
        return
      }
    }
    this.#end(sending, 'handed_off', undefined)
  }

  /** In the buffer, where there is one with room. */
  #keep(sending: Sending, error: unknown): void {
    const { buffer } = this.#options
    if (this.#buffer.has(sending)) return
    if (this.#buffer.size >= buffer) {
      this.#end(sending, 'dropped', this.#refusal(sending, error))
      return
    }
    this.#buffer.add(sending)
    if (!this.#draining) void this.#drain()
  }

  async #drain(): Promise<void> {
    this.#draining = true
    let pause = FIRST_PAUSE
    while (this.#buffer.size > 0) {
      const [first] = this.#buffer
      await new Promise<void>((resolve) => this.#options.clock.after(pause * (0.5 + Math.random() / 2), resolve, true))
      if (!this.#buffer.has(first!)) continue
      if (!(await this.#again(first!))) {
        pause = Math.min(pause * 2, LONGEST_PAUSE)
        continue
      }
      pause = FIRST_PAUSE
      while (this.#buffer.size > 0) {
        const sent = await Promise.all([...this.#buffer].slice(0, AT_ONCE).map((sending) => this.#again(sending)))
        if (sent.includes(false)) break
      }
    }
    this.#draining = false
  }

  /** It stays in its place in the buffer meanwhile; false when it is still there. */
  async #again(sending: Sending): Promise<boolean> {
    if (sending.job.state === undefined) {
      this.#buffer.delete(sending)
      this.#sending.delete(sending.job)
      return true
    }
    const sent = await this.#try(sending)
    if (sent) this.#buffer.delete(sending)
    return sent
  }

  #end(
    sending: Sending,
    outcome: 'handed_off' | 'dropped' | 'cancelled',
    error: unknown,
    accepted = outcome === 'handed_off',
  ): void {
    const { job } = sending
    this.#sending.delete(job)
    if (accepted) job.engine!.acceptance!.resolve()
    this.#options.scheduler().conclude(job, outcome, error)
  }

  #refusal({ job }: Sending, cause: unknown): AfterspanError {
    if (cause instanceof AfterspanError) return cause
    const { buffer, queue } = this.#options
    const full = buffer > 0 ? `, and ${buffer} tasks wait for it in this process already` : ''
    const why = cause instanceof Error && cause.message !== '' ? `: ${cause.message}` : ''
    return new AfterspanError(
      'ERR_AFTERSPAN_ENGINE_REFUSED',
      `Task "${job.task.name}" was not accepted: the engine of queue "${queue.name}" did not take it${full}${why}`,
      cause === undefined ? undefined : { cause },
    )
  }

  #withinTime<T>(answer: Promise<T>): Promise<T> {
    const { clock, timeout, queue } = this.#options
    return new Promise<T>((resolve, reject) => {
      const cancelTimer = clock.after(timeout, () =>
        reject(
          new AfterspanError(
            'ERR_AFTERSPAN_ENGINE_TIMEOUT',
            `The engine of queue "${queue.name}" did not answer in ${timeout} ms; it may or may not have the task.`,
          ),
        ),
      )
      answer.then(resolve, reject).finally(cancelTimer)
    })
  }
}
