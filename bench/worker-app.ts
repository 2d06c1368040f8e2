/**
 * An Express app whose CPU-bound tasks (50 ms each) keep one of two cores busy all the time: in worker threads, in the event
 * loop itself, or not at all. What is measured is what its requests wait.
 */

import type { Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { createTasks, type Task } from 'afterspan'
import { middleware } from 'afterspan/express'
import { defineWorker } from 'afterspan/worker'
import { argument, serve } from './child.ts'
import { burn } from './worker-task.ts'

export type Where = 'idle' | 'worker' | 'loop'

const { where } = argument<{ where: Where }>()
const express = createRequire(import.meta.url)('express') as typeof import('express')
const tasks = createTasks({ shutdown: false })
const work: Task<number> =
  where === 'worker'
    ? defineWorker<number>(tasks, 'burn', new URL('./worker-task.ts', import.meta.url), { threads: 1 })
    : tasks.define('burn', (ms: number) => burn(ms), { concurrency: 1 })

const app = express()
app.disable('etag')
app.use(middleware(tasks))
app.get('/orders/:id', (_req, res) => {
  res.json({ pong: true })
})

let server: Server
let running = false
let done = 0

/** The next is deferred when the one before has ended: the pool is never without work, and no queue grows. */
async function saturate(): Promise<void> {
  while (running) {
    await work.defer(50).outcome
    done++
    // In the event loop the requests need a turn between two tasks, or there would be no answer at all.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

serve({
  listen: () =>
    new Promise((resolve) => {
      server = app.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
    }),
  begin() {
    done = 0
    running = where !== 'idle'
    if (running) void saturate()
  },
  end() {
    running = false
    return { done }
  },
})
