import { createRequire } from 'node:module'
import type { ConnectionOptions } from 'bullmq'
import type { Engine } from '../../model/engine.ts'
import { AfterspanError } from '../../model/errors.ts'
import { loadBullMQ } from './load.ts'
import { type BullMQOptions, resolveOptions } from './options.ts'
import { type Producer, ProducerConnection, SharedProducer } from './producer.ts'
import { BullMQQueue } from './queue.ts'

/**
 * Tasks on BullMQ: `tasks.define(name, handler, { engine: bullmq({ connection }) })`. Each task has a queue of its own, with
 * jobs that any BullMQ worker can run, and that any BullMQ producer can add. Their trace context is where `bullmq-otel` has it.
 *
 * @throws AfterspanError ERR_AFTERSPAN_OPTION, ERR_AFTERSPAN_MISSING_PEER.
 */
export function bullmq(options: BullMQOptions): Engine {
  const settings = resolveOptions(options)
  const { sending, queueName } = settings
  const bull = loadBullMQ()
  const queues: BullMQQueue[] = []
  let producer: Producer | undefined
  return {
    system: 'bullmq',
    sending,
    define(task, plan) {
      const name = queueName(task)
      if (typeof name !== 'string' || name === '' || name.includes(':')) {
        throw new AfterspanError(
          'ERR_AFTERSPAN_ENGINE',
          `BullMQ takes no queue of the name ${JSON.stringify(name)} for task "${task}": it may not be empty or have a colon. Map it by the option \`queueName\`.`,
        )
      }
      producer ??= isClient(settings.connection)
        ? new SharedProducer(settings.connection)
        : new ProducerConnection(settings.connection, loadRedis())
      const queue = new BullMQQueue({ bull, settings, producer, name, task, plan })
      queues.push(queue)
      return queue
    },
    async close() {
      await Promise.allSettled(queues.map((queue) => queue.close()))
      producer?.close()
    },
  }
}

function isClient(connection: ConnectionOptions): boolean {
  return 'duplicate' in connection && typeof connection.duplicate === 'function'
}

function loadRedis(): new (options: object) => object {
  try {
    return (createRequire(import.meta.url)('ioredis') as { Redis: new (options: object) => object }).Redis
  } catch (cause) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_MISSING_PEER',
      'afterspan/bullmq needs a Redis client that is not installed. Run: npm install ioredis. Or hand it a client of node-redis as `connection`.',
      { cause },
    )
  }
}
