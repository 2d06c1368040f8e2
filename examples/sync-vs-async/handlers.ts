/** The task of each cell. What an app would copy is one line of these. */

import { availableParallelism } from 'node:os'
import type { Task, Tasks } from 'afterspan'
import { defineWorker } from 'afterspan/worker'
import type { Cell } from './cells.ts'
import { compute, computeAsync, computeInPool, computeInSlices } from './cpu.ts'
import { ask, askBlocking } from './io.ts'
import { check, type Job } from './job.ts'

/** As many at once as `defineWorker` has threads by default: the event loop keeps a core. */
export const THREADS = Math.max(1, availableParallelism() - 1)

export function defineWork(tasks: Tasks, { work, mode }: Cell): Task<Job> {
  if (mode === 'worker') return defineWorker<Job>(tasks, 'work', new URL('./thread.ts', import.meta.url))
  if (work === 'io') {
    return mode === 'sync'
      ? tasks.define<Job>('work', ({ url }) => askBlocking(url))
      : tasks.define<Job>('work', ({ url }) => ask(url))
  }
  switch (mode) {
    case 'sync':
      return tasks.define<Job>('work', (job) => check(job, compute(job.iterations)))
    case 'async':
      return tasks.define<Job>('work', async (job) => check(job, await computeAsync(job.iterations)))
    case 'slices':
      // One at a time: a turn of the event loop runs a slice of every task that has begun.
      return tasks.define<Job>('work', async (job) => check(job, await computeInSlices(job.iterations)), {
        concurrency: 1,
      })
    case 'pool':
      return tasks.define<Job>('work', async (job) => check(job, await computeInPool(job.iterations)), {
        concurrency: THREADS,
      })
  }
}
