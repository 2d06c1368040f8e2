import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Engine } from 'afterspan'
import { bullmq } from 'afterspan/bullmq'
import { pgBoss } from 'afterspan/pg-boss'

/** Where the orders are, and the embedded queue. */
export function dataDirectory(env: NodeJS.ProcessEnv): string {
  return env.ORDERS_DATA ?? fileURLToPath(new URL('data', import.meta.url))
}

/** `REDIS_URL`: BullMQ on Redis. `DATABASE_URL`: pg-boss on PostgreSQL. Neither: pg-boss on an embedded one, in a directory. */
export function engineFrom(env: NodeJS.ProcessEnv): Engine {
  const { REDIS_URL, DATABASE_URL, ORDERS_QUEUE = 'orders' } = env
  const options = {
    // What cannot be sent at once waits in memory, as when the process is killed that has the embedded queue open. The API gives
    // it up after a time, with the request.
    buffer: 1_000,
    // After so long the tasks of a killed worker are another one's. The default of 30 s suits an app; here nobody should wait.
    lock: 5_000,
  }
  if (REDIS_URL) return bullmq({ connection: { url: REDIS_URL }, prefix: ORDERS_QUEUE, ...options })
  if (DATABASE_URL) return pgBoss({ connectionString: DATABASE_URL, schema: ORDERS_QUEUE, ...options })
  return pgBoss({ pglite: join(dataDirectory(env), 'queue'), ...options })
}
