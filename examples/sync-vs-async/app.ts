/** The Express app of one cell: each `POST /tasks` defers one task, and `/ping` does nothing. */

import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createTasks } from 'afterspan'
import { middleware } from 'afterspan/express'
import express from 'express'
import { quantile } from '../../bench/report.ts'
import type { Cell } from './cells.ts'
import { defineWork, THREADS } from './handlers.ts'
import type { Job } from './job.ts'
import { argument, serve } from './part.ts'

/** What a turn has done to the app. */
export interface Done {
  readonly completed: number
  /** Why some are not; the first that was thrown. */
  readonly error: string | undefined
  /** Until the last has its outcome. */
  readonly tasksPerSecond: number
  /** How long an attempt took, ms. */
  readonly run: number
  /** From the end of the response to the outcome, ms. */
  readonly effectP50: number
  readonly effectP95: number
  /** CPU time of the process with all its threads, s. */
  readonly cpu: number
  /** The most memory that the process has had so far, MB. */
  readonly rss: number
}

const { cell, job } = argument<{ cell: Cell; job: Job }>()
// What fails is told at the end of the turn; the log would go into the table.
const quiet = { info() {}, warn() {}, error() {} }
const tasks = createTasks({ shutdown: false, logger: quiet })
const work = defineWork(tasks, cell)

/** Of one turn. Times in ms. */
class Account {
  readonly answered = new Map<string, number>()
  readonly effects: number[] = []
  readonly runs: number[] = []
  readonly cpu = process.cpuUsage()
  readonly all: Promise<void>
  #over = () => {}
  readonly begun = performance.now()
  last = Number.NaN
  completed = 0
  error: string | undefined
  #open: number

  constructor(count: number) {
    this.#open = count
    this.all = new Promise((resolve) => {
      this.#over = resolve
    })
  }

  finished(id: string, error: unknown): void {
    const answered = this.answered.get(id)
    if (answered === undefined) return
    this.last = performance.now()
    this.effects.push(this.last - answered)
    if (error === undefined) this.completed++
    else this.error ??= error instanceof Error ? error.message : String(error)
    if (--this.#open === 0) this.#over()
  }
}
let account: Account | undefined

const app = express()
app.disable('x-powered-by')
app.use(middleware(tasks))
app.get('/ping', (_req, res) => {
  res.end('pong')
})
app.post('/tasks', (_req, res) => {
  const now = account
  const { id } = work.defer(job)
  // Before Afterspan's own listener: a task that holds the event loop may begin and end in that.
  res.prependOnceListener('finish', () => now?.answered.set(id, performance.now()))
  res.status(202).end()
})

tasks.on('ended', ({ duration }) => account?.runs.push(duration))
tasks.on('finished', ({ id, outcome, error }) => {
  account?.finished(id, outcome === 'completed' ? undefined : (error ?? outcome))
})

let server: Server
serve({
  listen: () =>
    new Promise<string>((resolve, reject) => {
      server = app.listen(0, '127.0.0.1', (error) => {
        if (error === undefined) resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
        else reject(error)
      })
      // The clients close their connections. The app would do so at the very moment one is used again, now and then.
      server.keepAliveTimeout = 0
    }),

  /** Starts threads and compiles code, which is not to be measured. */
  warm: async () => {
    account = undefined
    await Promise.all(Array.from({ length: 2 * THREADS }, () => work.defer(job).outcome))
  },

  begin: ({ count }: { count: number }) => {
    account = new Account(count)
  },

  /** Resolves when every task of the turn has its outcome. */
  drained: async (): Promise<Done> => {
    const { all, begun, cpu, effects, runs } = account!
    await all
    const { user, system } = process.cpuUsage(cpu)
    const { completed, error, last } = account!
    const sorted = effects.toSorted((a, b) => a - b)
    return {
      completed,
      error,
      tasksPerSecond: (completed * 1000) / (last - begun),
      run: quantile(
        runs.toSorted((a, b) => a - b),
        0.5,
      ),
      effectP50: quantile(sorted, 0.5),
      effectP95: quantile(sorted, 0.95),
      cpu: (user + system) / 1e6,
      rss: process.resourceUsage().maxRSS / 1024,
    }
  },
})
