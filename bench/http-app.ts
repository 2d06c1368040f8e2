/**
 * The Express app of the HTTP benchmarks, in one of four variants. Each request is answered with a little JSON and then runs
 * a task of about 20 µs of CPU: bare after `finish`, in hand-written telemetry after `finish`, or deferred with Afterspan.
 */

import type { Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { createTasks } from 'afterspan'
import { middleware } from 'afterspan/express'
import { BurstSpanProcessor } from 'afterspan/sdk'
import type { Request, Response } from 'express'
import { tracedByHand } from './by-hand.ts'
import { argument, collectGarbage, processCpu, serve } from './child.ts'
import { discardingExporter, startSdk } from './telemetry.ts'

export type Variant = 'bare' | 'otel' | 'by-hand' | 'afterspan'

/** `exporter`: where spans go over OTLP; without one they are thrown away behind the same processor. */
const { variant, exporter } = argument<{ variant: Variant; exporter?: string }>()

if (variant !== 'bare') {
  const to = exporter === undefined ? discardingExporter : new OTLPTraceExporter({ url: exporter })
  startSdk(new BurstSpanProcessor({ exporter: to, notice: () => {} }), true)
}
// `require`, so that the instrumentation needs no import hook; the same for every variant.
const express = createRequire(import.meta.url)('express') as typeof import('express')

let asked = 0
let done = 0

/** About 20 µs. */
function render(): number {
  let sum = 0
  for (let i = 0; i < 20_000; i++) sum = (sum * 31 + i) | 0
  return sum
}

async function task(): Promise<number> {
  await undefined
  const result = render()
  done++
  return result
}

const app = express()
app.disable('x-powered-by')
app.disable('etag')
app.get('/orders/:id', routeOf(variant))

function routeOf(variant: Variant): (req: Request, res: Response) => void {
  const answer = (req: Request, res: Response) => {
    asked++
    res.json({ id: req.params.id, accepted: true })
  }
  if (variant === 'afterspan') {
    const tasks = createTasks({ shutdown: false })
    app.use(middleware(tasks))
    const render = tasks.define('render', task)
    return (req, res) => {
      render.defer()
      answer(req, res)
    }
  }
  const run = variant === 'by-hand' ? tracedByHand('render') : (work: () => Promise<unknown>) => void work()
  return (req, res) => {
    res.on('finish', () => run(task))
    answer(req, res)
  }
}

let server: Server
let since = { cpu: 0, done: 0 }

serve({
  listen: () =>
    new Promise((resolve) => {
      server = app.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
    }),
  begin() {
    collectGarbage()
    since = { cpu: processCpu(), done }
  },
  async end() {
    const cpu = (processCpu() - since.cpu) / (done - since.done)
    // The load has gone and left requests half answered; their turn of the event loop is due to them.
    await new Promise((resolve) => setTimeout(resolve, 20))
    return { backlog: asked - done, cpu, rss: process.memoryUsage().rss / 2 ** 20 }
  },
})
