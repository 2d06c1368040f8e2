import type { Connection } from './connection.ts'
import { EXPIRY_AHEAD } from './sql.ts'
import type { TakenJob } from './taken-job.ts'

export interface LeasesOptions {
  readonly connection: Connection
  readonly queue: string
  /** ms. */
  readonly lock: number
  /** s. */
  readonly heartbeatSeconds: number
  readonly onError: (error: unknown) => void
  /** Jobs of processes that are silent wait again. */
  readonly onReclaimed: () => void
}

/** A lock is renewed, and the locks of others are looked at, this often in its time. */
const PER_LOCK = 4
/** Looking once in so many ms finds a lost process soon enough, however long the lock. */
const LONGEST_PAUSE = 10_000

/**
 * Gives signs of life for the jobs that run here, notices which are somebody else's by now, and gives the jobs of
 * processes without a sign of life back to the queue.
 */
export class Leases {
  readonly #options: LeasesOptions
  readonly #held = new Set<TakenJob>()
  readonly #timer: NodeJS.Timeout
  #touching = false
  #reclaiming = false
  #reclaims = true

  constructor(options: LeasesOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#tick(), Math.min(options.lock / PER_LOCK, LONGEST_PAUSE))
  }

  hold(taken: TakenJob): void {
    this.#held.add(taken)
  }

  drop(taken: TakenJob): void {
    this.#held.delete(taken)
  }

  /** For jobs that others have put into the queue, whose own heartbeat is unlike ours. */
  async adopt(jobs: readonly TakenJob[]): Promise<void> {
    await this.#touch(jobs).catch(this.#options.onError)
  }

  /** What others have lost is left to those who take more. */
  stopReclaiming(): void {
    this.#reclaims = false
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #tick(): void {
    const { lock, onError } = this.#options
    const overdue = performance.now() - lock
    // The database did not hear from here, so it may have given them to somebody else.
    for (const taken of this.#held) if (taken.seenAt < overdue) taken.lose()
    if (!this.#touching && this.#held.size > 0) {
      this.#touching = true
      this.#touch([...this.#held])
        .catch(onError)
        .finally(() => {
          this.#touching = false
        })
    }
    if (this.#reclaiming || !this.#reclaims) return
    this.#reclaiming = true
    this.#reclaim()
      .catch(onError)
      .finally(() => {
        this.#reclaiming = false
      })
  }

  async #touch(jobs: readonly TakenJob[]): Promise<void> {
    const { connection, queue, heartbeatSeconds } = this.#options
    const since = performance.now()
    const attempts = jobs.map(({ id, retryCount }) => ({ id, attempt: retryCount }))
    const rows = await connection.query('touch', [queue, JSON.stringify(attempts), heartbeatSeconds, EXPIRY_AHEAD])
    const ours = new Set(rows.map(({ id }) => id))
    for (const taken of jobs) {
      if (ours.has(taken.id)) taken.seenAt = since
      else if (this.#held.has(taken) && !taken.settling) taken.lose()
    }
  }

  async #reclaim(): Promise<void> {
    const rows = await this.#options.connection.query('reclaim', [this.#options.queue])
    if (rows.length > 0) this.#options.onReclaimed()
  }
}
