import { checkFunction, checkNumber, checkObject, MAX_MS } from '../../model/check.ts'
import { AfterspanError } from '../../model/errors.ts'

/** Where the PostgreSQL server is: what pg-boss hands to `pg`. */
export interface PgBossConnection {
  connectionString?: string
  host?: string
  /** Default 5432. */
  port?: number
  database?: string
  user?: string
  password?: string | (() => string | Promise<string>)
  /** As `pg` has it: `true`, or options of `tls.connect`. */
  ssl?: unknown
  /** How many connections this process opens at most, the one that listens not counted. Default 10, pg's own. */
  max?: number
  /** What `pg_stat_activity` shows. Default: pg-boss's own. */
  application_name?: string
  /** Command-line options of the session: `-c statement_timeout=5000`. */
  options?: string
  /** How long to wait for a connection, in ms. Default 10,000, pg-boss's own. */
  connectionTimeoutMillis?: number
}

/**
 * The part of a `PgBoss` that the engine uses; written out, so that these types need no package that may be missing.
 */
export interface PgBossInstance {
  fetch(name: string, options: { batchSize: number; includeMetadata: true }): Promise<unknown[]>
  fail(name: string, job: { id: string; retryCount: number }, output?: object | null): Promise<unknown>
  createQueue(name: string, options?: object): Promise<void>
  getQueue(name: string): Promise<unknown>
  getDb(): {
    executeSql(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
    listen?(
      channel: string,
      onNotification: (payload: string) => void,
      onReconnect: () => void,
    ): Promise<{ close(): Promise<void> }>
  }
}

/** Options of `pgBoss`. Exactly one of `connectionString`, `connection`, `pglite` and `boss` is given. */
export interface PgBossOptions {
  /** Of the PostgreSQL server: `postgres://user:password@host/database`. */
  connectionString?: string
  /** The same in parts. */
  connection?: PgBossConnection
  /**
   * A directory on a local disk: the database is embedded, and the processes of one machine share it. No server; needs
   * `@electric-sql/pglite`.
   */
  pglite?: string
  /** The app's own `PgBoss`. Starting and stopping it, and listening to its `error` events, stay the app's. */
  boss?: PgBossInstance
  /**
   * Of pg-boss's tables; with `boss`, the one it was made with. Default: pg-boss's own, `'pgboss'`. Letters, digits and
   * `_`.
   */
  schema?: string
  /** The name of a task's queue: letters, digits, `_`, `-`, `.` and `/`. Default: the task's name. */
  queueName?: (task: string) => string
  /**
   * How long to wait for the database to take a task, in ms: 1 to 2^31 - 1. Default 5,000; with `pglite` 30,000, since
   * the first task waits until the directory is opened, which takes seconds.
   */
  sendTimeout?: number
  /**
   * How many deferrals of each task may wait in this process while the database is away: 0 to 1,000,000. Default 0:
   * they are dropped.
   */
  buffer?: number
  /**
   * How often a consumer that has nothing to do looks for tasks, in ms: 20 to 3,600,000. Default 1,000. It is told of
   * new tasks at once, and knows when delayed ones are due, so this is how late it notices a retry of another process,
   * and everything where nobody tells it (`listen`).
   */
  pollingInterval?: number
  /**
   * Whether consumers are told of new tasks by LISTEN/NOTIFY, for one more connection of the process. Default true.
   * Give false behind a pooler that shares connections between transactions, such as PgBouncer's transaction mode.
   */
  listen?: boolean
  /**
   * After how long without a sign of life of its process a task is given to another one, in ms: 1,000 to 86,400,000.
   * Default 30,000.
   */
  lock?: number
  /**
   * How often a task may be given to another process because the one before was lost: 0 to 10,000. Default 10. Then it
   * fails.
   */
  maxRedeliveries?: number
  /** How long completed tasks are kept in the database, in seconds: 1 to 315,360,000. Default 86,400, a day. */
  keepCompleted?: number
  /** How long failed ones are, in seconds. Default 604,800, a week. */
  keepFailed?: number
}

const SOURCES = ['connectionString', 'connection', 'pglite', 'boss'] as const

const OPTIONS = [
  ...SOURCES,
  'schema',
  'queueName',
  'sendTimeout',
  'buffer',
  'pollingInterval',
  'listen',
  'lock',
  'maxRedeliveries',
  'keepCompleted',
  'keepFailed',
] satisfies (keyof PgBossOptions)[]

const CONNECTION_OPTIONS = [
  'connectionString',
  'host',
  'port',
  'database',
  'user',
  'password',
  'ssl',
  'max',
  'application_name',
  'options',
  'connectionTimeoutMillis',
] satisfies (keyof PgBossConnection)[]

/** Where the database is. */
export type Source =
  | { readonly kind: 'server'; readonly connection: PgBossConnection }
  | { readonly kind: 'pglite'; readonly directory: string }
  | { readonly kind: 'boss'; readonly boss: PgBossInstance }

/** The options of the engine, checked and complete. */
export interface PgBossSettings {
  readonly source: Source
  readonly schema: string
  readonly sendTimeout: number
  readonly buffer: number
  readonly pollingInterval: number
  readonly listen: boolean
  readonly lock: number
  readonly maxRedeliveries: number
  readonly keepCompleted: number
  readonly keepFailed: number
  readonly queueName: (task: string) => string
}

/** pg-boss's own. */
const DEFAULT_SCHEMA = 'pgboss'
const TEN_YEARS = 315_360_000

export function checkOptions(options: PgBossOptions): PgBossSettings {
  const given = checkObject('options', options, OPTIONS)
  const keep = { min: 1, max: TEN_YEARS, whole: true }
  const source = sourceOf(given)
  const sendTimeout = source.kind === 'pglite' ? 30_000 : 5_000
  return {
    source,
    schema: checkSchema(given.schema),
    sendTimeout: checkNumber('sendTimeout', given.sendTimeout, { min: 1, max: MAX_MS }) ?? sendTimeout,
    buffer: checkNumber('buffer', given.buffer, { min: 0, max: 1_000_000, whole: true }) ?? 0,
    pollingInterval: checkNumber('pollingInterval', given.pollingInterval, { min: 20, max: 3_600_000 }) ?? 1_000,
    listen: checkBoolean('listen', given.listen) ?? true,
    lock: checkNumber('lock', given.lock, { min: 1_000, max: 86_400_000 }) ?? 30_000,
    maxRedeliveries: checkNumber('maxRedeliveries', given.maxRedeliveries, { min: 0, max: 10_000, whole: true }) ?? 10,
    keepCompleted: checkNumber('keepCompleted', given.keepCompleted, keep) ?? 86_400,
    keepFailed: checkNumber('keepFailed', given.keepFailed, keep) ?? 604_800,
    queueName: checkFunction('queueName', given.queueName) ?? ((task) => task),
  }
}

function sourceOf(given: Partial<PgBossOptions>): Source {
  const named = SOURCES.filter((name) => given[name] !== undefined)
  if (named.length !== 1) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_OPTION',
      `Expected exactly one of ${SOURCES.map((name) => `\`${name}\``).join(', ')}, got ${named.join(' and ') || 'none'}.`,
    )
  }
  const { connectionString, connection, pglite, boss } = given
  if (connectionString !== undefined) {
    return { kind: 'server', connection: { connectionString: checkText('connectionString', connectionString) } }
  }
  if (pglite !== undefined) return { kind: 'pglite', directory: checkText('pglite', pglite) }
  if (boss === undefined) {
    return { kind: 'server', connection: checkObject('connection', connection, CONNECTION_OPTIONS) }
  }
  if (typeof boss?.fetch !== 'function' || typeof boss.getDb !== 'function') {
    throw new AfterspanError('ERR_AFTERSPAN_OPTION', 'Expected `boss` to be a PgBoss of pg-boss 12.')
  }
  return { kind: 'boss', boss }
}

function checkText(option: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw new AfterspanError('ERR_AFTERSPAN_OPTION', `Expected \`${option}\` to be a string that is not empty.`)
}

function checkBoolean(option: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value
  throw new AfterspanError('ERR_AFTERSPAN_OPTION', `Expected \`${option}\` to be true or false, got ${typeof value}.`)
}

/** It stands in statements as it is. */
function checkSchema(value: unknown): string {
  if (value === undefined) return DEFAULT_SCHEMA
  if (typeof value === 'string' && /^[A-Za-z_]\w{0,49}$/.test(value)) return value
  throw new AfterspanError(
    'ERR_AFTERSPAN_OPTION',
    'Expected `schema` to be 1 to 50 letters, digits or underscores, the first no digit.',
  )
}
