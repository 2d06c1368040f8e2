/** One variant of the profiler benchmark: `afterspan/profiler` at one rate or another, or Node's inspector, beside none. */

import { readFile } from 'node:fs/promises'
import { Session } from 'node:inspector'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTasks } from 'afterspan'
import { type RunningProfiler, startProfiler } from 'afterspan/profiler'
import { argument, collectGarbage, processCpu, serve } from './child.ts'
import { discardingProcessor, startSdk } from './telemetry.ts'

export type Variant = 'profiler' | 'fast' | 'inspector'

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

const trivial = tasks.define('trivial', async () => {
  await undefined
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

async function end(): Promise<void> {
  await profiler?.stop()
  session?.post('Profiler.stop', () => {})
  session?.disconnect()
  profiler = undefined
  session = undefined
}

function timed(call: () => void): number {
  const before = performance.now()
  call()
  return performance.now() - before
}

/** CPU per task, µs, with garbage collection and the profiler's own thread. */
async function measured(task: typeof work, count: number): Promise<number> {
  collectGarbage()
  const before = processCpu()
  for (let done = 0; done < count; done += 200) {
    await Promise.all(Array.from({ length: 200 }, () => task.defer().outcome))
  }
  return (processCpu() - before) / count
}

async function measuredWith(task: typeof work, count: number): Promise<number> {
  begin()
  // V8 compiles much anew after a profiler has begun: a part of beginning, and not of going on.
  await measured(task, count * 2)
  const cpu = await measured(task, count)
  await end()
  return cpu
}

function readNow(): number {
  if (profiler !== undefined) return timed(() => profiler!.profile('work'))
  // It cannot be read without being ended.
  return timed(() => {
    session!.post('Profiler.stop', () => {})
    startInspector()
  })
}

serve({
  /** CPU per task without and with it, one right after the other, since a machine and a heap change with time. */
  async pair({ which, count, withFirst }: { which: 'work' | 'trivial'; count: number; withFirst: boolean }) {
    const task = which === 'work' ? work : trivial
    if (!withFirst) return { none: await measured(task, count), sampled: await measuredWith(task, count) }
    const sampled = await measuredWith(task, count)
    return { none: await measured(task, count), sampled }
  },
  /** CPU of a process that does nothing, as a share of a core, percent. */
  async idle({ sampled }: { sampled: boolean }) {
    if (sampled) begin()
    const before = processCpu()
    await sleep(3_000)
    const cpu = (processCpu() - before) / 3e6 / 0.01
    await end()
    return cpu
  },
  /** For how long the loop stands still when samples of a second are read, ms. */
  async read() {
    begin()
    await Promise.all(Array.from({ length: 1_000 }, () => work.defer().outcome))
    const took = readNow()
    await end()
    return took
  },

  /** For how long it stands still when sampling begins, in a heap of so many MB, ms. */
  async start({ heap }: { heap: number }) {
    while (process.memoryUsage().heapUsed < heap * 1e6) held.push(Array.from({ length: 1_000 }, (_, i) => ({ i })))
    const before = timed(begin)
    held = []
    return before
  },
})
