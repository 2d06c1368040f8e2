import type { ConsumeOptions, Consumer } from '../../model/engine.ts'
import { AfterspanError } from '../../model/errors.ts'
import { Bell } from './bell.ts'
import type { Connection, NewQueue } from './connection.ts'
import { heartbeatSeconds } from './job-options.ts'
import { Leases } from './leases.ts'
import type { PgBossSettings } from './options.ts'
import { Settler } from './settler.ts'
import { type JobRow, TakenJob } from './taken-job.ts'

export interface PgBossConsumerOptions extends ConsumeOptions {
  readonly connection: Connection
  readonly settings: PgBossSettings
  readonly queue: NewQueue
}

/** Of the pauses between tries while the database cannot be reached, ms. */
const FIRST_PAUSE = 100
const LONGEST_PAUSE = 5_000
/**
 * How long a few free places wait for more before they are filled, ms: one statement for many instead of one for each.
 */
const GATHER = 10
/** How long after tasks have come there may be more that nobody was told of, ms. */
const LULL = 25
const MOST_AT_ONCE = 1_000

/** Takes tasks out of a queue of pg-boss's. */
export class PgBossConsumer implements Consumer {
  readonly #options: PgBossConsumerOptions
  readonly #settler: Settler
  readonly #leases: Leases
  /** Rung when there may be something new in the queue. */
  readonly #news = new Bell()
  /** Rung when a place is free. */
  readonly #places = new Bell()
  readonly #enough: number
  #running = 0
  #stopped = false
  #looping: Promise<void> | undefined
  #stopListening: (() => void) | undefined
  readonly #stopErrors: () => void

  constructor(options: PgBossConsumerOptions) {
    this.#options = options
    const { connection, queue, settings, concurrency, onError } = options
    const { lock, keepFailed } = settings
    this.#enough = Math.ceil(concurrency / 4)
    this.#settler = new Settler({ connection, queue: queue.name, lock, keepFailed })
    this.#stopErrors = connection.onError(onError)
    this.#leases = new Leases({
      connection,
      queue: queue.name,
      lock,
      heartbeatSeconds: heartbeatSeconds(lock),
      onError,
      onReclaimed: () => this.#news.ring(),
    })
  }

  /** Resolves when the database is reached, or the engine closed. Rejects for a queue that tasks cannot use. */
  async start(): Promise<void> {
    const { connection, queue, onError } = this.#options
    for (let pause = FIRST_PAUSE; !connection.closed; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      try {
        await connection.ready(queue)
        this.#stopListening = await connection.listen(queue.name, () => this.#news.ring())
        this.#looping = this.#loop()
        return
      } catch (error) {
        if (connection.closed) break
        if (error instanceof AfterspanError && error.code !== 'ERR_AFTERSPAN_ENGINE_REFUSED') {
          await this.close()
          throw error
        }
        onError(error)
      }
      await this.#news.wait(spread(pause))
    }
    await this.close()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#leases.stopReclaiming()
    this.#news.ring()
    this.#places.ring()
  }

  async close(): Promise<void> {
    await this.stop()
    this.#stopListening?.()
    this.#stopErrors()
    await this.#looping
    this.#leases.close()
  }

  async #loop(): Promise<void> {
    const { connection, queue, onError } = this.#options
    let pause = FIRST_PAUSE
    while (!this.#stopped) {
      const free = Math.min(await this.#freePlaces(), MOST_AT_ONCE)
      if (this.#stopped) return
      try {
        const boss = await connection.boss()
        const rows = (await boss.fetch(queue.name, { batchSize: free, includeMetadata: true })) as JobRow[]
        pause = FIRST_PAUSE
        this.#start(rows)
        if (rows.length < free) await this.#news.wait(rows.length > 0 ? LULL : await this.#idleTime())
      } catch (error) {
        if (this.#stopped) return
        onError(error)
        await this.#news.wait(spread(pause))
        pause = Math.min(pause * 2, LONGEST_PAUSE)
      }
    }
  }

  async #freePlaces(): Promise<number> {
    const { concurrency } = this.#options
    let until: number | undefined
    for (;;) {
      const free = concurrency - this.#running
      const now = performance.now()
      if (free > 0) until ??= now + GATHER
      if (this.#stopped || free >= this.#enough || (until !== undefined && now >= until)) return free
      await this.#places.wait(until === undefined ? Number.POSITIVE_INFINITY : until - now)
    }
  }

  /** Until something that is known of is due, ms. */
  async #idleTime(): Promise<number> {
    const { connection, queue, settings } = this.#options
    const [row] = await connection.query('nextDue', [queue.name])
    const due = row?.due === null || row?.due === undefined ? Number.POSITIVE_INFINITY : Number(row.due)
    // Timers may be a millisecond early. One that is due and was not given is being taken by somebody else.
    return Math.min(settings.pollingInterval, due > 0 ? Math.ceil(due) + 1 : LULL)
  }

  #start(rows: readonly JobRow[]): void {
    const { settings, run, onError } = this.#options
    const taken = rows.map((row) => {
      return new TakenJob({
        row,
        maxRedeliveries: settings.maxRedeliveries,
        settle: async (job, settlement) => {
          const settled = await this.#settler.settle(job, settlement)
          // Its handler may run on, but it is no longer about this job.
          this.#leases.drop(job)
          if (settled && settlement.state === 'retry') this.#news.ringIn((settlement.delay ?? 0) + 1)
          return settled
        },
      })
    })
    if (this.#stopped) {
      for (const job of taken) job.release().catch(onError)
      return
    }
    const ours = heartbeatSeconds(settings.lock)
    const foreign = taken.filter((_, index) => rows[index]!.heartbeatSeconds !== ours)
    for (const job of taken) {
      this.#running++
      this.#leases.hold(job)
      void run(job).then(() => {
        this.#running--
        this.#leases.drop(job)
        this.#places.ring()
      })
    }
    if (foreign.length > 0) void this.#leases.adopt(foreign)
  }
}

function spread(ms: number): number {
  return ms * (0.5 + Math.random() / 2)
}
