import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { CATALOGUE, type OrderForm } from './order-form.ts'

/** What is done for an order that is paid, each once. */
export type Step = 'charge' | 'receipt' | 'stock' | 'report'

/**
 * `placed` until its charge begins; `refused` when the queue did not take it, which the customer was told; `unpaid` when the
 * bank had no answer in all attempts.
 */
export type OrderState = 'placed' | 'charging' | 'paid' | 'declined' | 'unpaid' | 'cancelled' | 'refused'

/** An order as `GET /orders/:id` shows it. */
export interface Order {
  readonly id: string
  readonly number: number
  readonly state: OrderState
  readonly customer: string
  readonly item: string
  readonly quantity: number
  /** Cents. */
  readonly total: number
  readonly attempts: number
  readonly error: string | null
  /** What was done for it, and when. */
  readonly done: Readonly<Partial<Record<Step, string>>>
  readonly placedAt: string
  /** Of its `charge-card`. */
  readonly taskId: string | null
  /** Of the request that placed it. */
  readonly traceId: string | null
}

/** All orders in figures. */
export interface Totals {
  readonly states: Readonly<Partial<Record<OrderState, number>>>
  readonly done: Readonly<Partial<Record<Step, number>>>
  /** Cents. */
  readonly charged: number
  /** Refused, and in the queue all the same: the worker has left them alone. */
  readonly late: number
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL DEFAULT 'placed',
    customer TEXT NOT NULL,
    item TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    total INTEGER NOT NULL,
    card TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    placedAt TEXT NOT NULL,
    taskId TEXT,
    traceId TEXT
  );
  CREATE TABLE IF NOT EXISTS done (
    "order" TEXT NOT NULL,
    step TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY ("order", step)
  ) WITHOUT ROWID;`

type Row = Omit<Order, 'done'> & { readonly card: string; readonly failures: number }

/**
 * The orders, in a SQLite file that both processes have open. It decides what becomes of an order: every change of its state is
 * one statement that says from which states it may come, so it does not matter which process is first, how often a task is run,
 * or when a process is killed.
 */
export class Orders {
  readonly #db: DatabaseSync

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true })
    this.#db = new DatabaseSync(join(directory, 'orders.db'))
    // The other process may be writing, or making the tables.
    this.#db.exec('PRAGMA busy_timeout = 10000')
    this.#db.exec('PRAGMA journal_mode = WAL')
    this.#db.exec('PRAGMA synchronous = NORMAL')
    this.#db.exec(SCHEMA)
  }

  place({ customer, item, quantity, card }: OrderForm, traceId: string | undefined): string {
    const id = randomUUID()
    const total = CATALOGUE[item] * quantity
    this.#run(
      'INSERT INTO orders (id, customer, item, quantity, total, card, placedAt, traceId) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      ...[id, customer, item, quantity, total, card, new Date().toISOString(), traceId ?? null],
    )
    return id
  }

  isTask(id: string, taskId: string): void {
    this.#run('UPDATE orders SET taskId = ? WHERE id = ?', taskId, id)
  }

  get(id: string): Order | undefined {
    const row = this.#row(id)
    if (row === undefined) return undefined
    const { card: _, failures: __, ...order } = row
    const steps = this.#db.prepare('SELECT step, at FROM done WHERE "order" = ?').all(id)
    return { ...order, done: Object.fromEntries(steps.map(({ step, at }) => [step, at])) }
  }

  totals(): Totals {
    const counts = (sql: string) =>
      Object.fromEntries(
        this.#db
          .prepare(sql)
          .all()
          .map(({ name, count }) => [name, Number(count)]),
      )
    const charged = `SELECT coalesce(sum(total), 0) AS cents FROM orders WHERE id IN (SELECT "order" FROM done WHERE step = 'charge')`
    const late = `SELECT count(*) AS count FROM orders WHERE state = 'refused' AND attempts > 0`
    return {
      states: counts('SELECT state AS name, count(*) AS count FROM orders GROUP BY state'),
      done: counts('SELECT step AS name, count(*) AS count FROM done GROUP BY step'),
      charged: Number(this.#db.prepare(charged).get()?.cents),
      late: Number(this.#db.prepare(late).get()?.count),
    }
  }

  /** False where its charge has begun, or it has ended. */
  cancel(id: string): boolean {
    return this.#run(`UPDATE orders SET state = 'cancelled' WHERE id = ? AND state = 'placed'`, id)
  }

  /** The queue did not take it. False where it has begun nevertheless: the queue had it, and could not say so. */
  refuse(id: string): boolean {
    return this.#run(`UPDATE orders SET state = 'refused' WHERE id = ? AND state = 'placed'`, id)
  }

  /** Its charge begins, perhaps again. */
  begin(
    id: string,
  ): (Pick<Row, 'state' | 'error' | 'number' | 'total' | 'card'> & { readonly id: string }) | undefined {
    this.#run(
      `UPDATE orders SET attempts = attempts + 1, state = CASE state WHEN 'placed' THEN 'charging' ELSE state END WHERE id = ?`,
      id,
    )
    return this.#row(id)
  }

  paid(id: string): void {
    this.do(id, 'charge')
    this.#run(`UPDATE orders SET state = 'paid', error = NULL WHERE id = ? AND state = 'charging'`, id)
  }

  declined(id: string, error: string): void {
    this.#run(`UPDATE orders SET state = 'declined', error = ? WHERE id = ? AND state = 'charging'`, error, id)
  }

  /** One more of `attempts` has failed. */
  failed(id: string, error: string, attempts: number): void {
    const sql = `UPDATE orders SET error = ?, failures = failures + 1,
      state = CASE WHEN failures + 1 >= ? THEN 'unpaid' ELSE state END WHERE id = ? AND state = 'charging'`
    this.#run(sql, error, attempts, id)
  }

  isDone(id: string, step: Step): boolean {
    return this.#db.prepare('SELECT 1 FROM done WHERE "order" = ? AND step = ?').get(id, step) !== undefined
  }

  /** Does a step; again it does nothing. */
  do(id: string, step: Step): void {
    this.#run('INSERT OR IGNORE INTO done ("order", step, at) VALUES (?, ?, ?)', id, step, new Date().toISOString())
  }

  #row(id: string): Row | undefined {
    return this.#db.prepare('SELECT * FROM orders WHERE id = ?').get(id) as Row | undefined
  }

  #run(sql: string, ...values: (string | number | null)[]): boolean {
    return this.#db.prepare(sql).run(...values).changes > 0
  }
}
