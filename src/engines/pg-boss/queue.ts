import type { ConsumeOptions, Consumer, Depth, EngineQueue, EngineTaskPlan, Message } from '../../model/engine.ts'
import type { Connection, NewQueue } from './connection.ts'
import { PgBossConsumer } from './consumer.ts'
import { pack } from './envelope.ts'
import { Grouper } from './grouper.ts'
import { jobOptions, PRIORITY_NUMBERS, queueOptions } from './job-options.ts'
import type { PgBossSettings } from './options.ts'
import { isItemsFault, isQueueMissing, PartitionedQueue } from './pg-errors.ts'

export interface PgBossQueueOptions {
  readonly connection: Connection
  readonly settings: PgBossSettings
  readonly name: string
  readonly task: string
  readonly plan: EngineTaskPlan
}

interface Packed {
  readonly id: string
  readonly key: string | undefined
  /** As an element of the recordset. */
  readonly text: string
}

/** Tasks in a queue of pg-boss's. */
export class PgBossQueue implements EngineQueue {
  readonly name: string
  readonly #options: PgBossQueueOptions
  readonly #queue: NewQueue
  /** Of the statement that inserts: options of the jobs. */
  readonly #jobOptions: readonly unknown[]
  readonly #sender: Grouper<Packed, boolean>

  constructor(options: PgBossQueueOptions) {
    const { name, plan, settings } = options
    this.name = name
    this.#options = options
    const job = jobOptions(plan, settings)
    this.#jobOptions = [
      job.retryLimit,
      job.retryDelay,
      job.retryBackoff,
      job.retryDelayMax ?? null,
      job.expireInSeconds,
      job.deleteAfterSeconds,
      job.heartbeatSeconds,
    ]
    this.#queue = { name, options: queueOptions(job, plan.retry.attempts) }
    this.#sender = new Grouper({
      run: (group) => this.#insert(group),
      weigh: ({ text }) => text.length,
      isItemsFault,
      patience: settings.sendTimeout,
    })
  }

  async send(message: Message): Promise<boolean> {
    const { id, key, priority, delay } = message
    const head = JSON.stringify({ id, key, priority: PRIORITY_NUMBERS[priority], delay })
    const text = `${head.slice(0, -1)},"data":${pack(this.#options.task, this.#options.plan.retry.attempts, message)}}`
    return this.#sender.add({ id, key, text })
  }

  async cancel(id: string): Promise<boolean> {
    const rows = await this.#options.connection.query('cancel', [this.name, id])
    return rows.length > 0
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    const consumer = new PgBossConsumer({ ...this.#options, ...options, queue: this.#queue })
    await consumer.start()
    return consumer
  }

  async depth(): Promise<Depth> {
    const { connection } = this.#options
    await connection.ready(this.#queue)
    const [row] = await connection.query('depth', [this.name])
    const number = (name: string) => Number(row?.[name] ?? 0)
    return {
      waiting: number('waiting'),
      delayed: number('delayed'),
      active: number('active'),
      failed: number('failed'),
      oldest: Math.max(0, number('oldest')),
    }
  }

  async #insert(group: readonly Packed[]): Promise<boolean[]> {
    const { connection } = this.#options
    const queue = await connection.ready(this.#queue)
    if (queue.partition && queue.policy !== 'exclusive' && group.some(({ key }) => key !== undefined)) {
      throw new PartitionedQueue(this.name)
    }
    const insert = () =>
      connection.query('insert', [this.name, `[${group.map(({ text }) => text).join()}]`, ...this.#jobOptions])
    const rows = await insert().catch(async (error) => {
      if (!isQueueMissing(error)) throw error
      connection.forget(this.name)
      await connection.ready(this.#queue)
      return insert()
    })
    if (rows.length === group.length) return group.map(() => true)
    return this.#whichAreIn(group, new Set(rows.map(({ id }) => id)))
  }

  /** One that was not inserted is there already, by its id, or an unfinished one has its key. */
  async #whichAreIn(group: readonly Packed[], inserted: ReadonlySet<unknown>): Promise<boolean[]> {
    const others = group.filter(({ id }) => !inserted.has(id)).map(({ id }) => id)
    const rows = await this.#options.connection.query('present', [this.name, others])
    const present = new Set(rows.map(({ id }) => id))
    return group.map(({ id }) => inserted.has(id) || present.has(id))
  }
}
