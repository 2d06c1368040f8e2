/** One variant of the tasks benchmark: a trivial async function bare, in hand-written telemetry, or deferred with Afterspan. */

import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createTasks } from 'afterspan'
import { middleware } from 'afterspan/express'
import { tracedByHand } from './by-hand.ts'
import { argument, collectGarbage, processCpu, serve, threadCpu } from './child.ts'
import { discardingProcessor, startSdk } from './telemetry.ts'

export type Variant = 'bare' | 'by-hand' | 'afterspan'

/** Tasks in hand at once. */
const BATCH = 1_000

const { variant } = argument<{ variant: Variant }>()
startSdk(discardingProcessor, false)

let done = 0
async function task(): Promise<void> {
  await undefined
  done++
}

const tasks = createTasks({ shutdown: false })
const trivial = tasks.define('trivial', task)
const byHand = tracedByHand('trivial')
const starts: Record<Variant, () => unknown> = {
  bare: task,
  'by-hand': () => byHand(task),
  afterspan: () => trivial.defer(),
}
const start = starts[variant]

async function settled(upTo: number): Promise<void> {
  while (done < upTo || tasks.ledger().states.running > 0) await new Promise((resolve) => setImmediate(resolve))
}

/** A request in flight, without a socket. */
function request(): { req: IncomingMessage; res: ServerResponse } {
  const req = Object.assign(new EventEmitter(), { method: 'GET', socket: { destroyed: false } })
  const res = Object.assign(new EventEmitter(), { statusCode: 200, writableFinished: true })
  return { req: req as unknown as IncomingMessage, res: res as unknown as ServerResponse }
}

const enter = middleware(tasks)

serve({
  /** CPU per task, µs, with garbage collection. */
  async run({ batches }: { batches: number }) {
    collectGarbage()
    const before = processCpu()
    for (let batch = 0; batch < batches; batch++) {
      const upTo = done + BATCH
      for (let i = 0; i < BATCH; i++) start()
      await settled(upTo)
    }
    return (processCpu() - before) / (batches * BATCH)
  },
  /** CPU of `defer()` by itself, µs; `held`: in a request that is not answered yet. */
  async defer({ batches, held }: { batches: number; held: boolean }) {
    collectGarbage()
    let cpu = 0
    for (let batch = 0; batch < batches; batch++) {
      const upTo = done + BATCH
      const { req, res } = request()
      const deferAll = () => {
        const before = threadCpu()
        for (let i = 0; i < BATCH; i++) trivial.defer()
        cpu += threadCpu() - before
      }
      if (held) enter(req, res, deferAll)
      else deferAll()
      res.emit('finish')
      await settled(upTo)
    }
    return cpu / (batches * BATCH)
  },
})
