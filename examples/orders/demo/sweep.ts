import { Queue } from 'bullmq'
import pg from 'pg'
import { TASKS } from './verify.ts'

/** Removes what the demo has left in a server; its directory goes with the rest. */
export async function sweep({ REDIS_URL, DATABASE_URL, ORDERS_QUEUE }: NodeJS.ProcessEnv): Promise<void> {
  if (ORDERS_QUEUE === undefined) return
  if (REDIS_URL) {
    for (const name of TASKS) {
      const queue = new Queue(name, { connection: { url: REDIS_URL, maxRetriesPerRequest: 1 }, prefix: ORDERS_QUEUE })
      queue.on('error', () => {})
      await queue.obliterate({ force: true })
      await queue.close()
    }
  } else if (DATABASE_URL) {
    const client = new pg.Client({ connectionString: DATABASE_URL })
    await client.connect()
    await client.query(`DROP SCHEMA IF EXISTS ${client.escapeIdentifier(ORDERS_QUEUE)} CASCADE`)
    await client.end()
  }
}
