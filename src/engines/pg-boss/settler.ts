import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from './connection.ts'
import { Grouper } from './grouper.ts'
import { isItemsFault } from './pg-errors.ts'
import type { Settlement, TakenJob } from './taken-job.ts'

export interface SettlerOptions {
  readonly connection: Connection
  readonly queue: string
  /** For how long it is tried, in ms: after that somebody else may have the job. */
  readonly lock: number
  /** s. */
  readonly keepFailed: number
}

/** Of the pauses between tries, ms. */
const FIRST_PAUSE = 50
const LONGEST_PAUSE = 2_000

/** Tells the database how attempts have ended, many by one statement, and again while it cannot be reached. */
export class Settler {
  readonly #options: SettlerOptions
  readonly #grouper: Grouper<Settlement, boolean>

  constructor(options: SettlerOptions) {
    this.#options = options
    this.#grouper = new Grouper({
      run: (group) => this.#settleAll(group),
      // What is left of an error has at most about 10 kB.
      weigh: ({ output }) => (output === undefined ? 100 : 10_000),
      isItemsFault,
    })
  }

  /** False where the job is somebody else's by now. */
  async settle(taken: TakenJob, settlement: Settlement): Promise<boolean> {
    const deadline = performance.now() + this.#options.lock
    taken.settling = true
    for (let pause = FIRST_PAUSE, again = false; ; pause = Math.min(pause * 2, LONGEST_PAUSE), again = true) {
      try {
        const settled =
          settlement.state === 'failed' && taken.deadLetter !== null
            ? await this.#failWithDeadLetter(settlement)
            : await this.#grouper.add(settlement)
        return settled || (again && (await this.#wasSettled(settlement)))
      } catch (error) {
        if (isItemsFault(error) || this.#options.connection.closed || performance.now() + pause > deadline) throw error
      }
      await delay(pause)
    }
  }

  async #settleAll(group: readonly Settlement[]): Promise<boolean[]> {
    const { connection, queue, keepFailed } = this.#options
    const rows = await connection.query('settle', [queue, JSON.stringify(group), keepFailed])
    if (rows.length === group.length) return group.map(() => true)
    const settled = new Set(rows.map(({ id }) => id))
    return group.map(({ id }) => settled.has(id))
  }

  /** pg-boss puts a copy into the queue for dead letters when a job fails that has no retries left. */
  async #failWithDeadLetter(settlement: Settlement): Promise<boolean> {
    const { id, attempt, output } = settlement
    const { connection, queue, keepFailed } = this.#options
    const limited = await connection.query('limit', [queue, JSON.stringify([{ id, attempt }]), keepFailed])
    if (limited.length === 0) return false
    const boss = await connection.boss()
    await boss.fail(queue, { id, retryCount: attempt }, output)
    return this.#wasSettled(settlement)
  }

  /** A try that gave an error may have come through. */
  async #wasSettled({ id, attempt, state }: Settlement): Promise<boolean> {
    const [row] = await this.#options.connection.query('state', [this.#options.queue, id])
    return row !== undefined && row.state === state && Number(row.attempt) === attempt
  }
}
