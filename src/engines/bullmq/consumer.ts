import type { Job, Worker } from 'bullmq'
import type { ConsumeOptions, Consumer } from '../../model/engine.ts'
import { latestRecord } from './job-record.ts'
import type { BullMQSettings } from './options.ts'
import { gatherWrites, type RedisLike } from './producer.ts'
import { NotOurs, TakenJob, type TakenJobOptions } from './taken-job.ts'

export interface BullMQConsumerOptions extends ConsumeOptions {
  readonly bull: typeof import('bullmq')
  readonly settings: BullMQSettings
  readonly queue: string
  /** The last lines of a job's log. */
  readonly logOf: (id: string, lines: number) => Promise<string[]>
  readonly look: TakenJobOptions['look']
}

/** How many lines of a job's log are looked through for what the attempt before has left. */
const LINES = 20

/**
 * Takes jobs out of one queue, by a worker of BullMQ's. BullMQ is told how an attempt ended by what its processor does, and says by
 * its own calls of `moveToCompleted` and `moveToFailed` whether Redis has taken note; a handler that outlives its attempt keeps its
 * place, so the worker's concurrency is lowered by one as long as it runs.
 */
export class BullMQConsumer implements Consumer {
  readonly ready: Promise<unknown>
  readonly #options: BullMQConsumerOptions
  readonly #worker: Worker
  readonly #taken = new Map<string, TakenJob>()
  readonly #watch: NodeJS.Timeout
  #outliving = 0
  #stopped = false

  constructor(options: BullMQConsumerOptions) {
    this.#options = options
    const { bull, settings, queue, concurrency, onError } = options
    this.#worker = new bull.Worker(queue, (job, token) => this.#process(job, token!), {
      connection: settings.connection,
      prefix: settings.prefix,
      concurrency,
      lockDuration: settings.lock,
      stalledInterval: settings.lock,
      // BullMQ would let it fail where nobody counts it; see `TakenJob.refusal`.
      maxStalledCount: 1_000_000,
      // How soon Redis is told again how an attempt ended, after the connection broke.
      runRetryDelay: 1_000,
      settings: { backoffStrategy: (_attempts, _type, _error, job) => this.#taken.get(job?.id ?? '')?.backoff ?? 0 },
    })
    this.#worker.on('error', (error) => {
      if (!(error instanceof NotOurs) && !/could not renew lock|Missing lock for job/.test(error.message))
        onError(error)
    })
    this.#worker.on('lockRenewalFailed', (ids) => {
      for (const id of ids) this.#taken.get(id)?.lose()
    })
    this.#worker.on('locksRenewed', ({ jobIds }) => {
      for (const id of jobIds) this.#taken.get(id)?.renewed(performance.now())
    })
    // Over a connection that has gone silent nobody says that a lock has run out, and Redis takes no result without it.
    this.#watch = setInterval(() => {
      const oldest = performance.now() - settings.lock
      for (const taken of this.#taken.values()) if (taken.renewedAt < oldest) taken.lose()
    }, settings.lock / 4)
    this.#watch.unref()
    this.ready = this.#worker.waitUntilReady()
    // An app's own client is not ours to change.
    if (!('duplicate' in settings.connection)) {
      const client = this.#worker.getBackend().client as Promise<unknown>
      // Closed before it was connected.
      client.then((redis) => gatherWrites(redis as RedisLike)).catch(() => {})
    }
  }

  async #process(job: Job, token: string): Promise<unknown> {
    const { bull, run, settings, look } = this.#options
    const record = job.attemptsStarted > 1 ? latestRecord(await this.#logOf(job)) : undefined
    const slot = Promise.withResolvers<void>()
    const taken = new TakenJob({
      bull,
      job,
      token,
      record,
      look,
      maxRedeliveries: settings.maxRedeliveries,
      outlives: () => void this.#outlived(slot.promise),
    })
    this.#taken.set(job.id!, taken)
    void run(taken).then(() => {
      slot.resolve()
      // Without effect when BullMQ was told.
      taken.abandon()
      if (this.#taken.get(job.id!) === taken) this.#taken.delete(job.id!)
    })
    return await taken.verdict
  }

  /** BullMQ takes a place for free when it is told how the attempt ended; it is not while the handler runs. */
  async #outlived(slot: Promise<void>): Promise<void> {
    this.#outliving++
    this.#adjust()
    await slot
    this.#outliving--
    this.#adjust()
  }

  #adjust(): void {
    const places = this.#options.concurrency - this.#outliving
    this.#worker.concurrency = Math.max(1, places)
    if (this.#stopped) return
    if (places < 1 && !this.#worker.isPaused()) void this.#worker.pause(true)
    else if (places >= 1 && this.#worker.isPaused()) void this.#worker.resume()
  }

  async #logOf(job: Job): Promise<string[]> {
    try {
      return await this.#options.logOf(job.id!, LINES)
    } catch {
      return []
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#worker.pause(true)
  }

  async close(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#watch)
    await this.#worker.close(true)
  }
}
