/** One variant of the profiler benchmark: the same tasks with no profiler, with `afterspan/profiler`, or with Node's inspector. */

import { readFile } from 'node:fs/promises'
import { Session } from 'node:inspector'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTasks } from 'afterspan'
import { type RunningProfiler, startProfiler } from 'afterspan/profiler'
import { argument, collectGarbage, processCpu, serve } from './child.ts'
import { discardingProcessor, startSdk } from './telemetry.ts'

export type Variant = 'none' | 'profiler' | 'fast' | 'inspector'

const { variant } = argument<{ variant: Variant }>()
startSdk(discardingProcessor, false)
const tasks = createTasks({ shutdown: false, concurrency: 16, logger: { info() {}, warn() {}, error() {} } })

const rows = Array.from({ length: 200 }, (_, i) => ({ id: i, name: `row ${i}`, price: i / 7 }))

/** About 0.2 ms of an app's usual work. */
function render(): number {
  const text = JSON.stringify(rows)
  return JSON.parse(text)
    .filter((row: { id: number }) => row.id % 3 !== 0)
    .map((row: { name: string }) => row.name.toUpperCase())
    .sort()
    .join(',').length
}

const work = tasks.define('work', async () => {
  render()
  await sleep(1)
  render()
  await readFile(new URL(import.meta.url))
  render()
})

let profiler: RunningProfiler | undefined
let session: Session | undefined
let held: unknown[] = []

function startInspector(): void {
  session!.post('Profiler.start')
}

function begin(): void {
  if (variant === 'profiler' || variant === 'fast') {
    profiler = startProfiler(tasks, { rate: variant === 'fast' ? 1_000 : 100 })
  } else if (variant === 'inspector') {
    session = new Session()
    session.connect()
    session.post('Profiler.enable')
    session.post('Profiler.setSamplingInterval', { interval: 10_000 })
    startInspector()
  }
}

function timed(call: () => void): number {
  const before = performance.now()
  call()
  return performance.now() - before
}

let begun = false

serve({
  /** CPU per task, µs, with garbage collection and the profiler's own thread. */
  async run({ count }: { count: number }) {
    if (!begun) begin()
    begun = true
    collectGarbage()
    const before = processCpu()
    for (let done = 0; done < count; done += 200) {
      await Promise.all(Array.from({ length: 200 }, () => work.defer().outcome))
    }
    return (processCpu() - before) / count
  },
  /** CPU of a process that does nothing, as a share of a core, percent. */
  async idle() {
    const before = processCpu()
    await sleep(3_000)
    return (processCpu() - before) / 3e6 / 0.01
  },
  /** For how long the loop stands still when samples are read, ms. */
  read() {
    if (profiler !== undefined) return timed(() => profiler!.profile('work'))
    // It cannot be read without being ended.
    return timed(() => {
      session!.post('Profiler.stop', () => {})
      startInspector()
    })
  },
  /** For how long it stands still when sampling begins, in a heap of so many MB, ms. */
  async start({ heap }: { heap: number }) {
    while (process.memoryUsage().heapUsed < heap * 1e6) held.push(Array.from({ length: 1_000 }, (_, i) => ({ i })))
    const before = timed(begin)
    held = []
    return before
  },
})
