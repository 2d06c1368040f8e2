/** One depth of the queue benchmark, with Afterspan or with p-queue: a blocker holds the only slot while the queue is filled. */

import { createTasks } from 'afterspan'
import PQueue from 'p-queue'
import { argument, collectGarbage, serve, threadCpu } from './child.ts'

export interface Measured {
  /** One `defer()` while the queue fills up to the depth, µs. */
  readonly fill: number
  /** One task taken out and started, and one put in, at the depth, µs. */
  readonly cycle: number
  /** Heap per queued task, bytes. */
  readonly bytes: number
  /** Tasks that were queued: fewer than the depth where filling took too long. */
  readonly reached: number
}

interface Queue {
  add(index: number): void
  /** Lets the running task end, and resolves when the next has started. */
  next(): Promise<void>
}

const { library, depth, seconds } = argument<{ library: 'afterspan' | 'p-queue'; depth: number; seconds: number }>()
const PRIORITIES = ['high', 'medium', 'low'] as const
const NAMES = 50

let started = 0
let release = () => {}
/** Every task: it holds the slot until it is released. */
function hold(): Promise<void> {
  started++
  return new Promise((resolve) => {
    release = resolve
  })
}

async function next(): Promise<void> {
  const before = started
  release()
  for (let turn = 0; started === before; turn++) {
    if (turn < 20) await undefined
    else await new Promise((resolve) => setImmediate(resolve))
  }
}

function afterspan(): Queue {
  const tasks = createTasks({ concurrency: 1, shutdown: false })
  const options = PRIORITIES.map((priority) => ({ priority }))
  const names = Array.from({ length: NAMES }, (_, index) => tasks.define(`task-${index}`, hold))
  return { next, add: (index) => void names[index % NAMES]!.defer(undefined, options[index % 3]) }
}

function pQueue(): Queue {
  const queue = new PQueue({ concurrency: 1 })
  const options = [2, 1, 0].map((priority) => ({ priority }))
  return { next, add: (index) => void queue.add(hold, options[index % 3]) }
}

/** Cost of one, µs, of `count` puts; stops early when the time is up. */
function fill(queue: Queue, count: number): { cost: number; reached: number } {
  const until = performance.now() + seconds * 1_000
  const before = threadCpu()
  let index = 0
  while (index < count) {
    queue.add(index++)
    if ((index & 1023) === 0 && performance.now() > until) break
  }
  return { cost: (threadCpu() - before) / index, reached: index }
}

async function cycle(queue: Queue, count: number): Promise<number> {
  const until = performance.now() + seconds * 1_000
  const before = threadCpu()
  let index = 0
  while (index < count) {
    await queue.next()
    queue.add(index++)
    if ((index & 63) === 0 && performance.now() > until) break
  }
  return (threadCpu() - before) / index
}

async function ready(queue: Queue): Promise<void> {
  queue.add(0)
  await new Promise((resolve) => setImmediate(resolve))
}

serve({
  async run(): Promise<Measured> {
    const make = library === 'afterspan' ? afterspan : pQueue
    // The same warm-up at every depth, in a queue that is thrown away.
    const warm = make()
    await ready(warm)
    fill(warm, 500)
    await cycle(warm, 30_000)

    // A fill of a thousand is too short to be measured: as many queues as make up a hundred thousand.
    let cost = 0
    let reached = 0
    let bytes = 0
    let queue = make()
    const fills = Math.max(1, Math.round(100_000 / depth))
    for (let round = 0; round < fills; round++) {
      queue = make()
      await ready(queue)
      // Collecting each time would take longer than what is measured; the last one's memory counts.
      if (round === fills - 1) collectGarbage()
      const empty = process.memoryUsage().heapUsed
      const filled = fill(queue, depth)
      cost += filled.cost / fills
      reached = filled.reached
      if (round === fills - 1) {
        collectGarbage()
        bytes = (process.memoryUsage().heapUsed - empty) / reached
      }
    }
    return { fill: cost, cycle: await cycle(queue, 50_000), bytes, reached }
  },
})
