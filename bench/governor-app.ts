/**
 * An Express app with tasks of one 5 ms slice each, offered at three times what the event loop could do if it did nothing
 * else: under the governor, or in p-queue with a limit that somebody has set. Each task gives way to the event loop once
 * before its slice, as tasks do that wait for something; without that p-queue would never let a request in.
 */

import type { Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import PQueue from 'p-queue'
import { aimd } from './aimd.ts'
import { argument, collectGarbage, serve } from './child.ts'
import { burn } from './worker-task.ts'

export type Side =
  | { readonly kind: 'idle' }
  | { readonly kind: 'governor'; readonly maxLoopDelay: number; readonly law?: 'aimd' }
  | { readonly kind: 'p-queue'; readonly concurrency: number; readonly perSecond?: number }

/** Tasks in a second: 3 × 1,000 ÷ 5 ms. */
const OFFERED = 600
const HOLD = 5

const side = argument<Side>()
const express = createRequire(import.meta.url)('express') as typeof import('express')
// With a law of its own, which the package does not offer: so from the built file.
const { Tasks } = (await import(
  new URL('../dist/background/tasks.js', import.meta.url).href
)) as typeof import('../src/background/tasks.ts')
const quiet = { info() {}, warn() {}, error() {} }
let done = 0

async function work(): Promise<void> {
  await setImmediate()
  burn(HOLD)
  done++
}

function backend(): { defer(): void; clear(): void; figures(): object } {
  if (side.kind === 'idle') return { defer() {}, clear() {}, figures: () => ({}) }
  if (side.kind === 'p-queue') {
    const rate = side.perSecond === undefined ? {} : { interval: 1_000 / side.perSecond, intervalCap: 1 }
    const queue = new PQueue({ concurrency: side.concurrency, ...rate })
    return { defer: () => void queue.add(work), clear: () => queue.clear(), figures: () => ({}) }
  }
  const { maxLoopDelay, law } = side
  const tasks = new Tasks(
    { shutdown: false, logger: quiet, governor: { maxLoopDelay } },
    law === 'aimd' ? { law: aimd } : {},
  )
  const task = tasks.define('work', work)
  let handles: { cancel(): boolean }[] = []
  return {
    defer: () => void handles.push(task.defer()),
    clear() {
      for (const handle of handles) handle.cancel()
      handles = []
    },
    figures: () => tasks.snapshot().governor ?? {},
  }
}

const app = express()
app.disable('etag')
app.get('/orders/:id', (_req, res) => {
  res.json({ pong: true })
})

const queue = backend()
let server: Server
let feeding: NodeJS.Timeout | undefined
let offered = 0
let since = 0

function feed(): void {
  const due = Math.floor(((performance.now() - since) * OFFERED) / 1_000)
  for (; offered < due; offered++) queue.defer()
}

serve({
  listen: () =>
    new Promise((resolve) => {
      server = app.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
    }),
  begin() {
    collectGarbage()
    offered = 0
    since = performance.now()
    if (side.kind !== 'idle') feeding = setInterval(feed, 10)
  },
  /** From now on it counts: what comes before is the time that the governor needs to find its limit. */
  count() {
    done = 0
  },
  end() {
    const figures = { done, ...queue.figures() }
    clearInterval(feeding)
    queue.clear()
    return figures
  },
})
