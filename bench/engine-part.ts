/**
 * One side of the engines benchmark: a process that adds jobs to a queue, all of them, and then works them off. The engine's own
 * package with its own tracing, or Afterspan on it; both under the telemetry of `afterspan/register`, every span sent over OTLP.
 */

import { createTasks, type Engine } from 'afterspan'
import { startTelemetry } from 'afterspan/sdk'
import { argument, collectGarbage, processCpu, serve } from './child.ts'

export type Side =
  | 'bullmq'
  | 'bullmq without metrics and priority'
  | 'bullmq through afterspan'
  | 'pg-boss'
  | 'pg-boss through afterspan'

export interface Part {
  readonly side: Side
  /** Of the server. */
  readonly url: string
  /** Where spans go. */
  readonly collector: string
  readonly jobs: number
}

export interface Phase {
  /** Until the last job is added, or completed, s. */
  readonly wall: number
  /** Of this process, until its spans are sent, s. */
  readonly cpu: number
}

/** A queue, and what works it off. */
interface Program {
  /** Resolves when the server has it. */
  add(index: number): Promise<unknown>
  /** Begins to work; calls `completed` for each job of which the server knows that it is. */
  work(completed: () => void): Promise<unknown>
  /** Where it does not say which jobs the server knows to be completed: resolves when it knows of all that were reported. */
  settled?(): Promise<unknown>
}

const { side, url, collector, jobs } = argument<Part>()

// --- The same on both sides

/** How many may be under way to the server at once while jobs are added, as requests of an app would be. */
const UNDER_WAY = 64
/** How many jobs may run at once. */
const CONCURRENCY = 32
const KEEP_COMPLETED = 1_000
const KEEP_FAILED = 10_000
const ATTEMPTS = 3
const BACKOFF = 1_000

const payloadOf = (index: number) => ({ order: index, to: 'somebody@example.com', template: 'confirmation' })
let sum = 0
/** The handler: it has nothing to wait for. */
async function handle(payload: { order: number }): Promise<void> {
  sum += payload.order
}

process.env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = collector
const telemetry = startTelemetry({ serviceName: 'bench' })

// --- The sides

async function bullmqAlone(queueName: string, all: boolean): Promise<Program> {
  const { Queue, Worker } = await import('bullmq')
  const { BullMQOtel } = await import('bullmq-otel')
  const options = { connection: { url }, telemetry: new BullMQOtel({ tracerName: 'bench', enableMetrics: all }) }
  const queue = new Queue(queueName, {
    ...options,
    defaultJobOptions: {
      attempts: ATTEMPTS,
      backoff: { type: 'exponential', delay: BACKOFF, jitter: 1 },
      removeOnComplete: { count: KEEP_COMPLETED },
      removeOnFail: { count: KEEP_FAILED },
      // What `medium` is there.
      ...(all && { priority: 10 }),
    },
  })
  return {
    add: (index) => queue.add(queueName, payloadOf(index)),
    async work(completed) {
      const worker = new Worker(queueName, (job) => handle(job.data), { ...options, concurrency: CONCURRENCY })
      worker.on('completed', completed)
      await worker.waitUntilReady()
    },
  }
}

async function pgBossAlone(queueName: string): Promise<Program> {
  const { PgBoss } = await import('pg-boss')
  const boss = new PgBoss({ connectionString: url, useListenNotify: true })
  boss.on('error', (error) => console.error(error))
  await boss.start()
  await boss.createQueue(queueName, {
    retryLimit: ATTEMPTS - 1,
    retryDelay: BACKOFF / 1000,
    retryBackoff: true,
    retryDelayMax: 30,
    notify: true,
  })
  return {
    add: (index) => boss.send(queueName, payloadOf(index)),
    // As many at once as elsewhere, by one fetch and one statement that completes them, and the next fetch at once.
    work: (completed) =>
      boss.work(
        queueName,
        {
          batchSize: CONCURRENCY,
          localConcurrency: 1,
          perJobResults: true,
          burstWhenBatchFull: true,
          pollingIntervalSeconds: 0.5,
        },
        async (batch) => {
          const results = await Promise.allSettled(batch.map((job) => handle(job.data as { order: number })))
          return results.map(({ status }, index) => {
            completed()
            return { id: batch[index]!.id, status: status === 'fulfilled' ? 'completed' : 'failed' } as const
          })
        },
      ),
    settled: () => boss.offWork(queueName),
  }
}

async function throughAfterspan(queueName: string, engine: Engine): Promise<Program> {
  const tasks = createTasks({ shutdown: false })
  const task = tasks.define(queueName, handle, { engine, retry: { attempts: ATTEMPTS, initial: BACKOFF } })
  return {
    add: (index) => task.defer(payloadOf(index)).accepted,
    work(completed) {
      tasks.on('finished', ({ outcome }) => {
        if (outcome === 'completed') completed()
      })
      return tasks.work({ concurrency: CONCURRENCY })
    },
  }
}

async function program(queueName: string): Promise<Program> {
  switch (side) {
    case 'bullmq':
    case 'bullmq without metrics and priority':
      return bullmqAlone(queueName, side === 'bullmq')
    case 'bullmq through afterspan': {
      const { bullmq } = await import('afterspan/bullmq')
      return throughAfterspan(
        queueName,
        bullmq({ connection: { url }, keepCompleted: KEEP_COMPLETED, keepFailed: KEEP_FAILED }),
      )
    }
    case 'pg-boss':
      return pgBossAlone(queueName)
    case 'pg-boss through afterspan': {
      const { pgBoss } = await import('afterspan/pg-boss')
      return throughAfterspan(queueName, pgBoss({ connectionString: url }))
    }
  }
}

// --- Measuring

async function measured(work: () => Promise<unknown>): Promise<Phase> {
  collectGarbage()
  const cpu = processCpu()
  const start = performance.now()
  await work()
  const wall = (performance.now() - start) / 1000
  await telemetry.flush()
  return { wall, cpu: (processCpu() - cpu) / 1e6 }
}

async function addAll({ add }: Program, count: number): Promise<void> {
  let next = 0
  const one = async () => {
    while (next < count) await add(next++)
  }
  await Promise.all(Array.from({ length: UNDER_WAY }, one))
}

async function workOff(program: Program, count: number): Promise<void> {
  let done = 0
  await new Promise<void>((resolve, reject) => {
    const completed = () => {
      if (++done === count) resolve()
    }
    program.work(completed).catch(reject)
  })
  await program.settled?.()
}

let queue: Program

serve({
  /** On a queue of its own: code that is compiled, connections that are open. */
  async warm() {
    const warm = await program('warm-up')
    const count = Math.min(5_000, jobs)
    await addAll(warm, count)
    await workOff(warm, count)
    queue = await program('bench')
    // So that the connections are open, and a queue is made that has to be.
    await queue.add(0)
    await telemetry.flush()
  },
  add: () => measured(() => addAll(queue, jobs - 1)),
  process: () => measured(() => workOff(queue, jobs)),
  sum: () => sum,
})
