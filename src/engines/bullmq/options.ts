import type { ConnectionOptions } from 'bullmq'
import { checkFunction, checkNumber, checkObject, MAX_MS } from '../../model/check.ts'
import type { Engine } from '../../model/engine.ts'
import { AfterspanError } from '../../model/errors.ts'

/** Options of `bullmq`. */
export interface BullMQOptions {
  /** As BullMQ has it: options of ioredis such as `{ host, port }` or `{ url }`, or a client of ioredis or node-redis. */
  connection: ConnectionOptions
  /** Before the names of all keys in Redis. Default `'bull'`, as BullMQ has it. */
  prefix?: string
  /** The name of a task's queue. Default: the task's name. BullMQ allows no colon in it. */
  queueName?: (task: string) => string
  /** How long to wait for Redis to take a task, in ms: 1 to 2^31 - 1. Default 5,000. */
  sendTimeout?: number
  /** How many deferrals of each task may wait in this process while Redis is away: 0 to 1,000,000. Default 0: they are dropped. */
  buffer?: number
  /**
   * After how long without a sign of life of its process a task is given to another one, in ms: 1,000 to 2^31 - 1. Default
   * 30,000. BullMQ renews a lock after half of it, so a process whose event loop is held for longer than half loses its tasks.
   */
  lock?: number
  /** How often a task may be given to another process because the one before was lost: 0 to 10,000. Default 10. Then it fails. */
  maxRedeliveries?: number
  /** How many completed tasks are kept in Redis, for each queue: 0 to Infinity. Default 1,000. */
  keepCompleted?: number
  /** How many failed ones. Default 10,000. */
  keepFailed?: number
}

const OPTIONS = [
  'connection',
  'prefix',
  'queueName',
  'sendTimeout',
  'buffer',
  'lock',
  'maxRedeliveries',
  'keepCompleted',
  'keepFailed',
] satisfies (keyof BullMQOptions)[]

/** The options of the engine, checked and complete. */
export interface BullMQSettings {
  readonly sending: Engine['sending']
  readonly queueName: (task: string) => string
  readonly connection: ConnectionOptions
  readonly prefix: string
  readonly lock: number
  readonly maxRedeliveries: number
  readonly keepCompleted: number
  readonly keepFailed: number
}

/** @throws AfterspanError ERR_AFTERSPAN_OPTION. */
export function resolveOptions(options: BullMQOptions): BullMQSettings {
  const given = checkObject('options', options, OPTIONS)
  if (typeof given.connection !== 'object' || given.connection === null) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_OPTION',
      `Expected \`connection\` to be options such as { host, port }, or a client, got ${typeof given.connection}.`,
    )
  }
  if (given.prefix !== undefined && (typeof given.prefix !== 'string' || given.prefix === '')) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_OPTION',
      `Expected \`prefix\` to be a string that is not empty, got ${typeof given.prefix}.`,
    )
  }
  const count = { min: 0, max: Number.POSITIVE_INFINITY, whole: true }
  return {
    connection: given.connection,
    prefix: given.prefix ?? 'bull',
    lock: checkNumber('lock', given.lock, { min: 1_000, max: MAX_MS }) ?? 30_000,
    maxRedeliveries: checkNumber('maxRedeliveries', given.maxRedeliveries, { min: 0, max: 10_000, whole: true }) ?? 10,
    keepCompleted: checkNumber('keepCompleted', given.keepCompleted, count) ?? 1_000,
    keepFailed: checkNumber('keepFailed', given.keepFailed, count) ?? 10_000,
    queueName: checkFunction('queueName', given.queueName) ?? ((task) => task),
    sending: {
      timeout: checkNumber('sendTimeout', given.sendTimeout, { min: 1, max: MAX_MS }) ?? 5_000,
      buffer: checkNumber('buffer', given.buffer, { min: 0, max: 1_000_000, whole: true }) ?? 0,
    },
  }
}
