import { checkFunction, checkNumber, checkObject, checkOneOf, MAX_MS } from './check.ts'
import type { Engine } from './engine.ts'
import { AfterspanError } from './errors.ts'
import type { RetryBudget, RetryPlan } from './retry.ts'
import { ENDINGS, type OnEnding, PRIORITIES, type Priority, RELATIONS, type Relation } from './words.ts'

/** When and how often a failed attempt is made again. */
export interface RetryOptions {
  /** Runs in all, the first included: 1 to 1,000. Default 1: no retry. */
  attempts?: number
  /** Upper bound of the first backoff in ms, 0 to 2^31 - 1. Default 1,000. */
  initial?: number
  /** By how much the bound grows with each attempt, 1 to 100. Default 2. */
  factor?: number
  /** Upper bound of every backoff in ms, 0 to 2^31 - 1. Default 30,000. */
  max?: number
  /** Whether this error is worth another attempt. Default: every error is, but `Abandon`. If it throws, there is no retry. */
  retryIf?: (error: unknown) => boolean
  /**
   * Keeps an outage from being multiplied by its retries. Default `{ ratio: 0.2, perSecond: 10, reserve: 100 }`: up to 100
   * retries at once, and in the long run 10 a second plus one per five first attempts. `false`: no limit.
   */
  budget?: Partial<RetryBudget> | false
}

/** Options of `tasks.define`. */
export interface TaskOptions {
  /** Which ready task starts first. Default `'medium'`. */
  priority?: Priority
  /** How many attempts of this task may run at once: 1 to Infinity. Default Infinity; the global limit holds as well. */
  concurrency?: number
  /** How long one attempt may run, in ms from its start: 1 to 2^31 - 1. Default: as long as it wants. */
  timeout?: number
  /** Default: one attempt. */
  retry?: RetryOptions
  /** How the spans hang on the trace of the request. Default `'child'`; `'link'` for a deferral with a delay, and on an engine. */
  relation?: Relation
  /**
   * Samples the stacks of an attempt and logs its top functions, in this process or a worker thread. `true`: the defaults. Needs
   * `@datadog/pprof`, and Node 24 or `--experimental-async-context-frame`; in worker threads neither.
   */
  profile?: boolean | ProfileOptions
  /** An existing queue that runs it. Default: that of `createTasks`, or none: this process. `false`: this process. */
  engine?: Engine | false
}

/** How a task is profiled. */
export interface ProfileOptions {
  /** Samples per second while one of its attempts is profiled: 10 to 2,000. Default 1,000. A profiler that runs already keeps its own. */
  rate?: number
  /** How long to the next attempt that is profiled, in ms: 0 to 2^31 - 1; 0: each is. Default 60,000. */
  every?: number
  /** How many functions are logged: 1 to 100. Default 10. */
  top?: number
}

/**
 * Checks a payload at `defer` and again where it is run: a function that returns the payload or throws, or a schema of any
 * library that implements Standard Schema (zod, valibot, arktype).
 */
export type Schema<P> =
  | ((payload: unknown) => P)
  | { readonly '~standard': { validate(value: unknown): SchemaResult | Promise<SchemaResult> } }

type SchemaResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] }

/** Options of `tasks.define` for a task that an engine runs. */
export interface EngineTaskOptions<P = unknown> extends TaskOptions {
  /** Where it is run: in the processes that call `tasks.work()`. */
  engine: Engine
  /** Default: every payload is taken that JSON can carry. */
  schema?: Schema<P>
}

/** Options of `tasks.defineBatch`; those of `tasks.define` hold for a run of a batch, `retry` for each item. */
export interface BatchOptions<P = unknown> extends Omit<TaskOptions, 'engine'> {
  /** How many items may run together: 1 to 10,000. Default 100. */
  maxSize?: number
  /** How long the first item waits for others, in ms: 0 to 2^31 - 1. Default 1,000. */
  maxWait?: number
  /** Only items with the same text run together. Default: all may. If it throws, the item runs with those that have none. */
  groupBy?: (payload: P) => string
  /** A batch hangs on no single request: `'link'` (default) or `'none'`. */
  relation?: Exclude<Relation, 'child'>
}

/** How many names Afterspan keeps apart in telemetry; the rest is recorded under `_other` and counted. */
export interface Limits {
  /** Task names: 1 to 10,000. Default 200. */
  tasks?: number
  /** Values of `http.route`: 1 to 10,000. Default 200. */
  routes?: number
  /** Error types per task: 1 to 1,000. Default 20. */
  errorTypes?: number
}

/** What a signal (SIGTERM, SIGINT) does. */
export interface ShutdownOptions {
  /** How long accepted work may go on, in ms: 0 to 2^31 - 1. Default 15,000. */
  grace?: number
}

/** Somewhere to write lines to; `console` and pino both fit. */
export interface Logger {
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

/** Holds background work back before requests feel it; see docs/governor.md. */
export interface GovernorOptions {
  /**
   * The delay of the event loop that tasks may cause, in ms: 0.1 to 10,000. It is an average over time: what something that
   * comes at any moment waits, beyond what it would wait without tasks. Above it less is started, of low priority first; never
   * nothing. Tasks that hold the loop for `s` ms, one after the other, cause `s / 2`.
   */
  maxLoopDelay: number
}

export interface SchedulingOptions {
  /** How many attempts may run at once: 1 to Infinity. Default 128. */
  concurrency?: number
  /** How many tasks may wait (held, delayed, ready or retrying): 1 to Infinity. Beyond it a deferral is dropped. Default Infinity. */
  queueLimit?: number
  /** How long a task waits for the end of its response, in ms: 1 to 2^31 - 1. Default 60,000. */
  maxHold?: number
  /** What becomes of a request's tasks when its client went away before the answer was out. Default `'run'`. */
  onAbort?: OnEnding
  /** What becomes of them when the response has a status of 500 or more, or was destroyed by an error. Default `'run'`. */
  onError?: OnEnding
  /** Default of every task. */
  priority?: Priority
  /** Default of every task. */
  timeout?: number
  /** Default of every task. */
  retry?: RetryOptions
  /** Default of every task. */
  relation?: Relation
  /** Default of every task of `define`; batches, one-off tasks and promises always run in this process. */
  engine?: Engine
  limits?: Limits
  /** Adapts how much of each priority runs at once to the event loop's delay. Default: only the limits that are given hold. */
  governor?: GovernorOptions
  /**
   * Share of V8's heap limit above which tasks of low priority are not started, until a tenth of the limit below it: 0.1 to 1.
   * Objects that survive a young collection count, and memory outside the heap (buffers) does not. Default 0.9. `false`: they
   * are started.
   */
  heapGuard?: number | false
  /** `false`: leave SIGTERM and SIGINT alone. */
  shutdown?: ShutdownOptions | false
  /** Where the ledger and warnings are written. Default `console`. */
  logger?: Logger
}

/** Options of one deferral. */
export interface DeferOptions {
  /** Milliseconds from the trigger to the earliest start: 0 to 2^31 - 1. Default 0. */
  delay?: number
  /** In place of the task's. */
  priority?: Priority
  /** In place of the task's. */
  relation?: Relation
  /** Cancels the task when it aborts, in whatever state it is. */
  signal?: AbortSignal
  /** A second deferral with the key of an unfinished one of the same task gets its handle. */
  key?: string
}

/** The defaults, all of them, once. */
export const DEFAULTS = {
  concurrency: 128,
  queueLimit: Number.POSITIVE_INFINITY,
  maxHold: 60_000,
  onAbort: 'run',
  onError: 'run',
  priority: 'medium',
  grace: 15_000,
  retry: { attempts: 1, initial: 1_000, factor: 2, max: 30_000, budget: { ratio: 0.2, perSecond: 10, reserve: 100 } },
  limits: { tasks: 200, routes: 200, errorTypes: 20 },
  batch: { maxSize: 100, maxWait: 1_000 },
  work: 16,
  heapGuard: 0.9,
  profile: { rate: 1_000, every: 60_000, top: 10 },
} as const

/** The options of a task, checked and complete. */
export interface TaskPlan {
  readonly priority: Priority
  readonly concurrency: number
  /** ms; undefined: none. */
  readonly timeout: number | undefined
  readonly retry: RetryPlan
  /** undefined: by what the deferral asks for. */
  readonly relation: Relation | undefined
  /** How items gather that run together; undefined: each runs alone. */
  readonly batch: BatchPlan | undefined
  /** undefined: it runs in this process. */
  readonly engine: Engine | undefined
  readonly schema: Schema<never> | undefined
  /** undefined: only as every task is, where the profiler runs. */
  readonly profile: Required<ProfileOptions> | undefined
}

export interface BatchPlan {
  readonly maxSize: number
  /** ms. */
  readonly maxWait: number
  readonly groupBy: ((payload: never) => unknown) | undefined
}

/** The options of `createTasks`, checked and complete. */
export interface Settings {
  readonly concurrency: number
  readonly queueLimit: number
  readonly maxHold: number
  readonly onAbort: OnEnding
  readonly onError: OnEnding
  readonly plan: TaskPlan
  readonly limits: Required<Limits>
  /** undefined: off. */
  readonly governor: Required<GovernorOptions> | undefined
  /** Share of the heap's limit; undefined: off. */
  readonly heapGuard: number | undefined
  readonly shutdown: Required<ShutdownOptions> | undefined
  readonly logger: Logger
}

const COUNT = { min: 1, max: Number.POSITIVE_INFINITY, whole: true }
const TIME = { min: 0, max: MAX_MS }
const SOME_TIME = { min: 1, max: MAX_MS }

const RETRY_OPTIONS = ['attempts', 'initial', 'factor', 'max', 'retryIf', 'budget'] satisfies (keyof RetryOptions)[]
/** The names of all options of a task, for doors that add their own. */
export const TASK_OPTIONS = [
  'priority',
  'concurrency',
  'timeout',
  'retry',
  'relation',
  'profile',
  'engine',
  'schema',
] satisfies (keyof EngineTaskOptions)[]
const NOT_OF_BATCHES: readonly string[] = ['engine', 'schema']
const BATCH_OPTIONS = ['maxSize', 'maxWait', 'groupBy'] satisfies (keyof BatchOptions)[]
const DEFER_OPTIONS = ['delay', 'priority', 'relation', 'signal', 'key'] satisfies (keyof DeferOptions)[]
const SCHEDULING_OPTIONS = [
  'concurrency',
  'queueLimit',
  'maxHold',
  'onAbort',
  'onError',
  'priority',
  'timeout',
  'retry',
  'relation',
  'engine',
  'limits',
  'governor',
  'heapGuard',
  'shutdown',
  'logger',
] satisfies (keyof SchedulingOptions)[]

/** Checks the options of `createTasks`; `alsoKnown` are those that another layer reads. */
export function resolveSettings(options: SchedulingOptions | undefined, alsoKnown: readonly string[] = []): Settings {
  const given = checkObject('options', options, [...SCHEDULING_OPTIONS, ...alsoKnown])
  const limits = checkObject('limits', given.limits, ['tasks', 'routes', 'errorTypes'])
  return {
    concurrency: checkNumber('concurrency', given.concurrency, COUNT) ?? DEFAULTS.concurrency,
    queueLimit: checkNumber('queueLimit', given.queueLimit, COUNT) ?? DEFAULTS.queueLimit,
    maxHold: checkNumber('maxHold', given.maxHold, SOME_TIME) ?? DEFAULTS.maxHold,
    onAbort: checkOneOf('onAbort', given.onAbort, ENDINGS) ?? DEFAULTS.onAbort,
    onError: checkOneOf('onError', given.onError, ENDINGS) ?? DEFAULTS.onError,
    plan: {
      priority: checkOneOf('priority', given.priority, PRIORITIES) ?? DEFAULTS.priority,
      concurrency: Number.POSITIVE_INFINITY,
      timeout: checkNumber('timeout', given.timeout, SOME_TIME),
      retry: resolveRetry(given.retry, undefined),
      relation: checkOneOf('relation', given.relation, RELATIONS),
      batch: undefined,
      engine: checkEngine(given.engine) || undefined,
      schema: undefined,
      profile: undefined,
    },
    limits: {
      tasks: checkNumber('limits.tasks', limits.tasks, { min: 1, max: 10_000, whole: true }) ?? DEFAULTS.limits.tasks,
      routes:
        checkNumber('limits.routes', limits.routes, { min: 1, max: 10_000, whole: true }) ?? DEFAULTS.limits.routes,
      errorTypes:
        checkNumber('limits.errorTypes', limits.errorTypes, { min: 1, max: 1_000, whole: true }) ??
        DEFAULTS.limits.errorTypes,
    },
    governor: resolveGovernor(given.governor),
    heapGuard:
      given.heapGuard === false
        ? undefined
        : (checkNumber('heapGuard', given.heapGuard, { min: 0.1, max: 1 }) ?? DEFAULTS.heapGuard),
    shutdown: resolveShutdown(given.shutdown),
    logger: checkLogger(given.logger) ?? console,
  }
}

/** Checks the options of `define`; what is not given comes from `createTasks`. */
export function resolveTask(options: TaskOptions | undefined, defaults: TaskPlan): TaskPlan {
  const given = checkObject('options', options as EngineTaskOptions | undefined, TASK_OPTIONS)
  const engine = checkEngine(given.engine) ?? defaults.engine
  return {
    priority: checkOneOf('priority', given.priority, PRIORITIES) ?? defaults.priority,
    concurrency: checkNumber('concurrency', given.concurrency, COUNT) ?? defaults.concurrency,
    timeout: checkNumber('timeout', given.timeout, SOME_TIME) ?? defaults.timeout,
    retry: given.retry === undefined ? defaults.retry : resolveRetry(given.retry, defaults.retry),
    relation: checkOneOf('relation', given.relation, RELATIONS) ?? defaults.relation,
    batch: undefined,
    engine: engine === false ? undefined : engine,
    schema: checkSchema(given.schema) as Schema<never> | undefined,
    profile: resolveProfile(given.profile),
  }
}

/** What a task may hang on that has no parent: a batch has many, and one on an engine is in another process. */
const OWN_TRACE = RELATIONS.filter((relation) => relation !== 'child')

/** Checks the options of `defineBatch`. */
export function resolveBatch<P>(options: BatchOptions<P> | undefined, defaults: TaskPlan): TaskPlan {
  const known = [...TASK_OPTIONS.filter((name) => !NOT_OF_BATCHES.includes(name)), ...BATCH_OPTIONS]
  const { maxSize, maxWait, groupBy, ...rest } = checkObject('options', options, known)
  const plan = resolveTask(rest, defaults)
  return {
    ...plan,
    engine: undefined,
    relation: checkOneOf('relation', rest.relation, OWN_TRACE) ?? 'link',
    batch: {
      maxSize: checkNumber('maxSize', maxSize, { min: 1, max: 10_000, whole: true }) ?? DEFAULTS.batch.maxSize,
      maxWait: checkNumber('maxWait', maxWait, TIME) ?? DEFAULTS.batch.maxWait,
      groupBy: checkFunction('groupBy', groupBy),
    },
  }
}

/** @throws AfterspanError for a deferral to a batch task that asks for a parent. */
export function checkBatchDefer({ relation }: DeferOptions): void {
  checkOneOf('relation', relation, OWN_TRACE)
}

/** Checks the options of one deferral. */
export function checkDefer(options: DeferOptions | undefined): DeferOptions {
  if (options === undefined) return NO_OPTIONS
  const given = checkObject('options', options, DEFER_OPTIONS)
  checkNumber('delay', given.delay, TIME)
  checkOneOf('priority', given.priority, PRIORITIES)
  checkOneOf('relation', given.relation, RELATIONS)
  if (given.signal !== undefined && !(given.signal instanceof AbortSignal)) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_OPTION',
      `Expected \`signal\` to be an AbortSignal, got ${typeof given.signal}.`,
    )
  }
  if (given.key !== undefined && (typeof given.key !== 'string' || given.key === '')) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_OPTION',
      `Expected \`key\` to be a string that is not empty, got ${typeof given.key}.`,
    )
  }
  return given
}

const NO_OPTIONS: DeferOptions = Object.freeze({})

/** Checks a grace period in ms; `undefined` gives the default. */
export function checkGrace(grace: unknown): number {
  return checkNumber('grace', grace, TIME) ?? DEFAULTS.grace
}

function resolveRetry(options: RetryOptions | undefined, defaults: RetryPlan | undefined): RetryPlan {
  const given = checkObject('retry', options, RETRY_OPTIONS)
  const base = defaults ?? { ...DEFAULTS.retry, retryIf: undefined }
  return {
    attempts: checkNumber('retry.attempts', given.attempts, { min: 1, max: 1_000, whole: true }) ?? base.attempts,
    initial: checkNumber('retry.initial', given.initial, TIME) ?? base.initial,
    factor: checkNumber('retry.factor', given.factor, { min: 1, max: 100 }) ?? base.factor,
    max: checkNumber('retry.max', given.max, TIME) ?? base.max,
    retryIf: checkFunction('retry.retryIf', given.retryIf) ?? base.retryIf,
    budget: given.budget === undefined ? base.budget : resolveBudget(given.budget),
  }
}

function resolveBudget(budget: Partial<RetryBudget> | false): RetryBudget | undefined {
  if (budget === false) return undefined
  const given = checkObject('retry.budget', budget, ['ratio', 'perSecond', 'reserve'])
  const defaults = DEFAULTS.retry.budget
  return {
    ratio: checkNumber('retry.budget.ratio', given.ratio, { min: 0, max: 1_000 }) ?? defaults.ratio,
    perSecond: checkNumber('retry.budget.perSecond', given.perSecond, { min: 0, max: 1_000_000 }) ?? defaults.perSecond,
    reserve: checkNumber('retry.budget.reserve', given.reserve, { min: 0, max: 1_000_000 }) ?? defaults.reserve,
  }
}

function resolveGovernor(governor: GovernorOptions | undefined): Required<GovernorOptions> | undefined {
  if (governor === undefined) return undefined
  const given = checkObject('governor', governor, ['maxLoopDelay'])
  const maxLoopDelay = checkNumber('governor.maxLoopDelay', given.maxLoopDelay, { min: 0.1, max: 10_000 })
  if (maxLoopDelay !== undefined) return { maxLoopDelay }
  throw new AfterspanError(
    'ERR_AFTERSPAN_OPTION',
    'Expected `governor.maxLoopDelay` to be given: the average delay of the event loop, in ms, that background work may cause.',
  )
}

/** Checks the option `profile` of a task. */
export function resolveProfile(profile: boolean | ProfileOptions | undefined): Required<ProfileOptions> | undefined {
  if (profile === undefined || profile === false) return undefined
  const defaults = DEFAULTS.profile
  if (profile === true) return defaults
  const given = checkObject('profile', profile, ['rate', 'every', 'top'])
  return {
    rate: checkNumber('profile.rate', given.rate, { min: 10, max: 2_000 }) ?? defaults.rate,
    every: checkNumber('profile.every', given.every, TIME) ?? defaults.every,
    top: checkNumber('profile.top', given.top, { min: 1, max: 100, whole: true }) ?? defaults.top,
  }
}

function resolveShutdown(shutdown: ShutdownOptions | false | undefined): Required<ShutdownOptions> | undefined {
  if (shutdown === false) return undefined
  const given = checkObject('shutdown', shutdown, ['grace'])
  return { grace: checkNumber('shutdown.grace', given.grace, TIME) ?? DEFAULTS.grace }
}

function checkEngine(engine: Engine | false | undefined): Engine | false | undefined {
  if (engine === undefined || engine === false) return engine
  if (typeof engine?.define === 'function') return engine
  throw new AfterspanError(
    'ERR_AFTERSPAN_OPTION',
    `Expected \`engine\` to be what bullmq() or pgBoss() returned, or false, got ${engine === null ? 'null' : typeof engine}.`,
  )
}

function checkSchema<P>(schema: Schema<P> | undefined): Schema<P> | undefined {
  if (schema === undefined || typeof schema === 'function') return schema
  if (typeof schema?.['~standard']?.validate === 'function') return schema
  throw new AfterspanError(
    'ERR_AFTERSPAN_OPTION',
    `Expected \`schema\` to be a function or a Standard Schema, got ${schema === null ? 'null' : typeof schema}.`,
  )
}

/** What of a task cannot be on an engine, whichever it is. */
export function checkEngineTask(name: string, plan: TaskPlan): void {
  if (plan.relation === 'child') {
    throw new AfterspanError(
      'ERR_AFTERSPAN_ENGINE',
      `Task "${name}" runs on an engine, in a trace of its own: its \`relation\` is 'link' or 'none', not 'child'.`,
    )
  }
}

/** @throws AfterspanError for a deferral to an engine that asks for a parent. */
export function checkEngineDefer({ relation }: DeferOptions): void {
  checkOneOf('relation', relation, OWN_TRACE)
}

function checkLogger(logger: Logger | undefined): Logger | undefined {
  if (logger === undefined) return undefined
  for (const method of ['info', 'warn', 'error'] as const)
    checkFunction(`logger.${method}`, logger?.[method] ?? (null as never))
  return logger
}
