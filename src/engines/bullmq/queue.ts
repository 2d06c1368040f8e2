import type { Job, JobsOptions, KeepJobs, Queue } from 'bullmq'
import type { ConsumeOptions, Consumer, Depth, EngineQueue, EngineTaskPlan, Message } from '../../model/engine.ts'
import type { Priority } from '../../model/words.ts'
import { BullMQConsumer } from './consumer.ts'
import type { BullMQSettings } from './options.ts'
import type { Producer } from './producer.ts'

export interface BullMQQueueOptions {
  readonly bull: typeof import('bullmq')
  readonly settings: BullMQSettings
  readonly producer: Producer
  readonly name: string
  readonly task: string
  readonly plan: EngineTaskPlan
}

/**
 * In BullMQ a job without a priority comes before all that have one, and a lower number before a higher one. Jobs of plain
 * producers have none most often, so they are on a level with `high`.
 */
export const BULLMQ_PRIORITY: Readonly<Record<Priority, number>> = { high: 0, medium: 10, low: 20 }

/** The queue of one task in Redis. */
export class BullMQQueue implements EngineQueue {
  readonly name: string
  readonly #options: BullMQQueueOptions
  readonly #consumers = new Set<BullMQConsumer>()
  #queue: Queue | undefined

  constructor(options: BullMQQueueOptions) {
    this.name = options.name
    this.#options = options
  }

  async send(message: Message): Promise<boolean> {
    const { producer, task } = this.#options
    if (producer.trouble !== undefined) throw producer.trouble
    const job = await this.#open().add(task, message.payload ?? null, this.#optionsOf(message))
    return job.id === message.id
  }

  #optionsOf({ id, priority, delay, key, carrier }: Message): JobsOptions {
    const { plan, settings } = this.#options
    const { attempts, initial } = plan.retry
    return {
      jobId: id,
      priority: BULLMQ_PRIORITY[priority],
      ...(delay > 0 && { delay: Math.round(delay) }),
      attempts,
      // What a plain worker goes by; ours knows factor, bound and budget.
      ...(attempts > 1 && { backoff: { type: 'exponential', delay: Math.round(initial), jitter: 1 } }),
      ...(key !== undefined && { deduplication: { id: key } }),
      removeOnComplete: keep(settings.keepCompleted),
      removeOnFail: keep(settings.keepFailed),
      telemetry: { metadata: JSON.stringify(carrier) },
    }
  }

  async cancel(id: string): Promise<boolean> {
    const queue = this.#open()
    const job = await queue.getJob(id)
    if (job === undefined || !['waiting', 'prioritized', 'delayed'].includes(await job.getState())) return false
    // 0 where a worker was faster.
    return (await queue.remove(id)) === 1
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    const { bull, settings, name } = this.#options
    const logOf = async (id: string, lines: number) => (await this.#open().getJobLogs(id, -lines, -1)).logs
    const look = async (id: string) => {
      const job: Job | undefined = await this.#open().getJob(id)
      if (job === undefined) return undefined
      return { attemptsStarted: job.attemptsStarted, attemptsMade: job.attemptsMade, state: await job.getState() }
    }
    const consumer = new BullMQConsumer({ ...options, bull, settings, queue: name, logOf, look })
    this.#consumers.add(consumer)
    await consumer.ready
    return consumer
  }

  async depth(): Promise<Depth> {
    const { producer } = this.#options
    if (producer.trouble !== undefined) throw producer.trouble
    const queue = this.#open()
    const [counts, byPriority] = await Promise.all([
      queue.getJobCounts('wait', 'prioritized', 'delayed', 'active', 'failed'),
      queue.getCountsPerPriority([BULLMQ_PRIORITY.medium]),
    ])
    // First in, first out within a priority: the oldest of all is the first of one of them.
    const lowStartsAt = byPriority[String(BULLMQ_PRIORITY.medium)] ?? 0
    const heads = await Promise.all([
      queue.getJobs(['wait'], 0, 0, true),
      queue.getJobs(['prioritized'], 0, 0, true),
      queue.getJobs(['prioritized'], lowStartsAt, lowStartsAt, true),
    ])
    const since = heads
      .flat()
      .flatMap((job: Job | undefined) => (job === undefined ? [] : [job.timestamp + (job.opts.delay ?? 0)]))
    return {
      waiting: (counts.wait ?? 0) + (counts.prioritized ?? 0),
      delayed: counts.delayed ?? 0,
      active: counts.active ?? 0,
      failed: counts.failed ?? 0,
      oldest: since.length === 0 ? 0 : Math.max(0, Date.now() - Math.min(...since)) / 1000,
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#consumers].map((consumer) => consumer.close()))
    await this.#queue?.close()
  }

  #open(): Queue {
    if (this.#queue === undefined) {
      const { bull, settings, producer, name } = this.#options
      this.#queue = new bull.Queue(name, { connection: producer.connection, prefix: settings.prefix })
      // What goes wrong is seen where it is sent.
      this.#queue.on('error', () => {})
    }
    return this.#queue
  }
}

function keep(count: number): KeepJobs | boolean {
  if (count === Number.POSITIVE_INFINITY) return false
  return count === 0 ? true : { count }
}
