import type { Clock } from '../model/clock.ts'
import type {
  ConsumeOptions,
  Consumer,
  Depth,
  Engine,
  EngineQueue,
  EngineTaskPlan,
  Failure,
  Message,
  Taken,
} from '../model/engine.ts'

/** A task as it is kept. */
interface Stored {
  readonly message: Message
  readonly acceptedAt: number
  state: 'waiting' | 'active' | 'failed'
  dueAt: number
  attempt: number
  failures: number
  previous: string | undefined
  redelivered: boolean
  failure: Failure | undefined
  lost: (() => void) | undefined
  /** Who holds it. */
  token: number
}

/**
 * An engine in memory, for tests of tasks that run on one: `tasks.define(name, handler, { engine: new MemoryEngine(tasks.clock) })`.
 * It keeps the contract of `bullmq` and `pgBoss`, by the clock of the test, and it can be told to misbehave. Two `createTestTasks`
 * with the same one are two processes.
 */
export class MemoryEngine implements Engine {
  readonly system = 'memory'
  readonly sending: Engine['sending']
  readonly queues = new Map<string, MemoryQueue>()
  readonly clock: Clock
  /** By how much the clock of those who send is ahead, ms. */
  skew = 0
  closed = false
  /** Thrown by everything that asks it; `'silent'`: it never answers. */
  down: Error | 'silent' | undefined

  constructor(clock: Clock, sending: Partial<Engine['sending']> = {}) {
    this.clock = clock
    this.sending = { timeout: 1_000, buffer: 0, ...sending }
  }

  define(task: string, plan: EngineTaskPlan): EngineQueue {
    let queue = this.queues.get(task)
    if (queue === undefined) {
      queue = new MemoryQueue(this, `q-${task}`, task, plan.retry.attempts)
      this.queues.set(task, queue)
    }
    return queue
  }

  async close(): Promise<void> {
    this.closed = true
  }

  async reached(): Promise<void> {
    if (this.down === 'silent') await new Promise(() => {})
    if (this.down !== undefined) throw this.down
  }
}

/** The queue of one task in a `MemoryEngine`. */
export class MemoryQueue implements EngineQueue {
  readonly name: string
  readonly jobs = new Map<string, Stored>()
  readonly completed: string[] = []
  readonly #engine: MemoryEngine
  readonly #task: string
  readonly #attempts: number
  #options: ConsumeOptions | undefined
  #running = 0

  constructor(engine: MemoryEngine, name: string, task: string, attempts: number) {
    this.#engine = engine
    this.name = name
    this.#task = task
    this.#attempts = attempts
  }

  async send(message: Message): Promise<boolean> {
    await this.#engine.reached()
    if (this.jobs.has(message.id)) return true
    const { key } = message
    const same = [...this.jobs.values()].some(
      (job) => key !== undefined && job.state !== 'failed' && job.message.key === key,
    )
    if (same) return false
    this.put(JSON.parse(JSON.stringify(message)) as Message)
    return true
  }

  put(message: Message): void {
    const now = this.#engine.clock.now()
    this.jobs.set(message.id, {
      message,
      acceptedAt: Date.now(),
      state: 'waiting',
      dueAt: now + message.delay,
      attempt: 0,
      failures: 0,
      previous: undefined,
      redelivered: false,
      failure: undefined,
      lost: undefined,
      token: 0,
    })
    this.pump()
  }

  async cancel(id: string): Promise<boolean> {
    await this.#engine.reached()
    return this.jobs.get(id)?.state === 'waiting' && this.jobs.delete(id)
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    await this.#engine.reached()
    this.#options = options
    this.pump()
    return {
      stop: async () => {
        this.#options = undefined
      },
      close: async () => {},
    }
  }

  async depth(): Promise<Depth> {
    await this.#engine.reached()
    const now = this.#engine.clock.now()
    const jobs = [...this.jobs.values()]
    const count = (is: (job: Stored) => boolean) => jobs.filter(is).length
    const due = jobs.filter(({ state, dueAt }) => state === 'waiting' && dueAt <= now)
    return {
      waiting: due.length,
      delayed: count(({ state, dueAt }) => state === 'waiting' && dueAt > now),
      active: count(({ state }) => state === 'active'),
      failed: count(({ state }) => state === 'failed'),
      oldest: Math.max(0, ...due.map(({ dueAt }) => now - dueAt)) / 1000,
    }
  }

  /** Gives a task that runs to whoever comes next, as an engine does whose lock has run out. */
  expire(id: string): void {
    const job = this.jobs.get(id)!
    job.token++
    job.state = 'waiting'
    job.redelivered = true
    job.lost?.()
    this.pump()
  }

  pump(): void {
    const now = this.#engine.clock.now()
    for (const job of this.jobs.values()) {
      const options = this.#options
      if (options === undefined || this.#running >= options.concurrency) return
      if (job.state !== 'waiting') continue
      if (job.dueAt > now) {
        this.#engine.clock.after(job.dueAt - now, () => this.pump())
        continue
      }
      job.state = 'active'
      job.attempt++
      this.#running++
      void options.run(this.#taken(job, ++job.token)).then(() => {
        this.#running--
        this.pump()
      })
    }
  }

  #taken(job: Stored, token: number): Taken {
    const { message } = job
    const settle = (action: () => void) => async () => {
      await this.#engine.reached()
      if (job.token !== token) return false
      action()
      this.pump()
      return true
    }
    return {
      id: message.id,
      task: this.#task,
      payload: message.payload,
      carrier: message.carrier,
      priority: message.priority,
      attempt: job.attempt,
      failures: job.failures,
      attempts: this.#attempts,
      previous: job.previous,
      redelivered: job.redelivered,
      refusal: undefined,
      acceptedAt: job.acceptedAt,
      wait: this.#engine.clock.now() - job.dueAt - this.#engine.skew,
      onLost: (listener) => {
        job.lost = listener
      },
      complete: settle(() => {
        this.completed.push(message.id)
        this.jobs.delete(message.id)
      }),
      fail: (failure) =>
        settle(() => {
          job.state = 'failed'
          job.failure = failure
        })(),
      retry: (delay, failure) =>
        settle(() => {
          job.state = 'waiting'
          job.failures++
          job.previous = failure.traceparent
          job.failure = failure
          job.dueAt = this.#engine.clock.now() + delay
        })(),
      release: settle(() => {
        job.state = 'waiting'
      }),
    }
  }
}
