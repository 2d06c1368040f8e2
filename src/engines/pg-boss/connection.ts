import { AfterspanError } from '../../model/errors.ts'
import { openEmbedded } from './embedded.ts'
import type { PgBossInstance, PgBossSettings } from './options.ts'
import { channelOf, type Statements, statementsFor } from './sql.ts'

/** How a queue is made that is not there yet. */
export interface NewQueue {
  readonly name: string
  readonly options: object
}

/** What matters of a queue that is there, whoever made it. */
export interface QueueRow {
  readonly policy: string | null
  readonly partition: boolean
}

/** ms. */
const LISTEN_AGAIN = 10_000

type Row = Record<string, unknown>

interface Opened {
  readonly boss: PgBossInstance
  close(): Promise<void>
}

/**
 * One process's way to the database: opened when it is first needed, tried again whenever it is needed and could not be
 * opened before, and shared by all queues of the engine.
 */
export class Connection {
  readonly statements: Statements
  readonly #settings: PgBossSettings
  readonly #queues = new Map<string, Promise<QueueRow>>()
  readonly #wakers = new Map<string, () => void>()
  readonly #errorListeners = new Set<(error: unknown) => void>()
  #opening: Promise<Opened> | undefined
  #listening: Promise<{ close(): Promise<void> } | undefined> | undefined
  #closing: Promise<void> | undefined

  constructor(settings: PgBossSettings) {
    this.#settings = settings
    this.statements = statementsFor(settings.schema)
  }

  get closed(): boolean {
    return this.#closing !== undefined
  }

  /** The started `PgBoss`. Rejects with the reason where there is no connection, soon. */
  async boss(): Promise<PgBossInstance> {
    if (this.#closing !== undefined) {
      throw new AfterspanError('ERR_AFTERSPAN_ENGINE_REFUSED', 'The engine was closed.')
    }
    this.#opening ??= this.#open()
    try {
      return (await this.#opening).boss
    } catch (error) {
      this.#opening = undefined
      throw error
    }
  }

  async query(statement: keyof Statements, values: unknown[]): Promise<Row[]> {
    const boss = await this.boss()
    const { rows } = await boss.getDb().executeSql(this.statements[statement], values)
    return rows as Row[]
  }

  /**
   * Makes the queue, unless it is there. Several processes may do so at the same instant.
   *
   * @throws AfterspanError ERR_AFTERSPAN_ENGINE for a queue whose policy does not let tasks run as they are asked to.
   */
  ready(queue: NewQueue): Promise<QueueRow> {
    let row = this.#queues.get(queue.name)
    if (row === undefined) {
      row = this.#makeQueue(queue)
      this.#queues.set(queue.name, row)
      row.catch(() => this.#queues.delete(queue.name))
    }
    return row
  }

  /** It may have been deleted. */
  forget(queue: string): void {
    this.#queues.delete(queue)
  }

  /** Calls back with what goes wrong where nobody asked for something. Gives the function that ends it. */
  onError(listener: (error: unknown) => void): () => void {
    this.#errorListeners.add(listener)
    return () => this.#errorListeners.delete(listener)
  }

  /** Calls back when there may be something new in the queue. Gives the function that ends it. */
  async listen(queue: string, wake: () => void): Promise<() => void> {
    this.#wakers.set(queue, wake)
    if (this.#settings.listen) await this.#beginListening()
    return () => this.#wakers.delete(queue)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #open(): Promise<Opened> {
    const { source, schema } = this.#settings
    if (source.kind === 'boss') return { boss: source.boss, close: async () => {} }
    const { PgBoss } = await import('pg-boss')
    const embedded = source.kind === 'pglite' ? openEmbedded(source.directory) : undefined
    const where =
      source.kind === 'server'
        ? // Without them, a server that vanishes without a word is noticed after hours.
          { keepAlive: true, keepAliveInitialDelayMillis: 10_000, ...source.connection }
        : { db: embedded!.db, backend: 'pglite' as const }
    const boss = new PgBoss({
      ...where,
      schema,
      // What is kept for a time is deleted by pg-boss in this interval, in s.
      maintenanceIntervalSeconds: 3_600,
      schedule: false,
      // Afterspan makes the spans; two sets of them would count everything twice.
      openTelemetry: { enabled: false },
    })
    boss.on('error', (error) => this.#report(error))
    const close = async () => {
      await boss.stop({ graceful: false })
      await embedded?.close()
    }
    try {
      await boss.start()
    } catch (error) {
      await close().catch(() => {})
      throw error
    }
    return { boss, close }
  }

  async #makeQueue({ name, options }: NewQueue): Promise<QueueRow> {
    const boss = await this.boss()
    if ((await boss.getQueue(name)) === null) await boss.createQueue(name, options)
    const [row] = await this.query('queueRow', [name])
    if (row === undefined) {
      throw new AfterspanError(
        'ERR_AFTERSPAN_ENGINE',
        `pg-boss has no queue "${name}" in its schema "${this.#settings.schema}". Give the option \`schema\` that \`boss\` has.`,
      )
    }
    const policy = row.policy as string | null
    if (policy !== null && policy !== 'standard' && policy !== 'exclusive') {
      throw new AfterspanError(
        'ERR_AFTERSPAN_ENGINE',
        `The queue "${name}" exists with pg-boss's policy '${policy}', which tasks cannot follow. Give its task another queue by the option \`queueName\`.`,
      )
    }
    return { policy, partition: row.partition === true }
  }

  async #beginListening(): Promise<void> {
    this.#listening ??= this.#listen().catch((error) => {
      this.#listening = undefined
      this.#report(error)
      // Until then consumers poll.
      if (!this.closed && this.#wakers.size > 0) setTimeout(() => this.#beginListening(), LISTEN_AGAIN).unref()
      return undefined
    })
    await this.#listening
  }

  async #listen(): Promise<{ close(): Promise<void> } | undefined> {
    const db = (await this.boss()).getDb()
    return db.listen?.(
      channelOf(this.#settings.schema),
      (queue) => this.#wakers.get(queue)?.(),
      () => {
        for (const wake of this.#wakers.values()) wake()
      },
    )
  }

  async #close(): Promise<void> {
    const listening = await this.#listening?.catch(() => undefined)
    await listening?.close()
    const opened = await this.#opening?.catch(() => undefined)
    await opened?.close()
  }

  #report(error: unknown): void {
    for (const listener of this.#errorListeners) listener(error)
  }
}
