/**
 * Runs every cell in an app of its own. All are up at once and take turns, round after round, since a shared machine is never
 * the same a minute later; figures are medians over the rounds, ratios are made within a turn.
 */

import { availableParallelism } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { median } from '../../bench/report.ts'
import type { Done } from './app.ts'
import { CELLS, type Cell, TASK_MS, TASKS_PER_SECOND } from './cells.ts'
import { calibrate, compute } from './cpu.ts'
import type { Job } from './job.ts'
import type { Pings } from './load.ts'
import { Part } from './part.ts'

export interface Options {
  readonly rounds: number
  /** How long tasks are asked for, in each turn. */
  readonly seconds: number
  /** Whom the IO-bound tasks ask; undefined: a service of our own. */
  readonly service: string | undefined
}

/** ms where nothing else is said. */
export interface Figures {
  readonly tasksPerSecond: number
  readonly run: number
  readonly effectP50: number
  readonly effectP95: number
  readonly pingP50: number
  readonly pingP99: number
  readonly pingMax: number
  readonly idleP50: number
  readonly idleP99: number
  /** `pingP99` to `idleP99`. */
  readonly ratio: number
  /** MB. */
  readonly rss: number
  /** s. */
  readonly cpu: number
}

export interface CellResult extends Cell {
  /** Over all rounds. */
  readonly tasks: number
  readonly completed: number
  /** Why there are no figures. */
  readonly failed: string | undefined
  readonly median: Figures | undefined
  readonly rounds: readonly Figures[]
}

export interface Comparison {
  readonly node: string
  readonly cores: number
  /** Such as 2026-01-31, UTC. */
  readonly date: string
  readonly rounds: number
  readonly seconds: number
  readonly cells: readonly CellResult[]
}

/** How long `/ping` is measured before the tasks of a turn, s. */
const IDLE_SECONDS = 0.5
/** Longer than any turn on a slow machine, ms. */
const PATIENCE = 60_000

interface Running {
  readonly cell: Cell
  readonly app: Part
  url: string
  readonly turns: Figures[]
  completed: number
  tasks: number
  failed: string | undefined
}

export async function compare({ rounds, seconds, service }: Options, say: (line: string) => void): Promise<Comparison> {
  const iterations = calibrate(TASK_MS)
  const key = compute(iterations)
  const parts: Part[] = []
  const start = (file: string, argument?: unknown) => {
    const part = new Part(file, argument)
    parts.push(part)
    return part
  }
  try {
    const url = service ?? (await start('./service.ts', { ms: TASK_MS }).call<string>('listen'))
    let load = start('./load.ts')
    const all = CELLS.map((cell): Running => {
      const job: Job = { work: cell.work, url, iterations, key }
      return {
        cell,
        app: start('./app.ts', { cell, job }),
        url: '',
        turns: [],
        completed: 0,
        tasks: 0,
        failed: undefined,
      }
    })
    const each = async (cells: readonly Running[], run: (one: Running) => Promise<void>) => {
      for (const one of cells) {
        if (one.failed !== undefined) continue
        try {
          await within(PATIENCE + 10_000 * seconds, run(one))
        } catch (error) {
          one.failed = error instanceof Error ? error.message : String(error)
          // They may be in the midst of it.
          await one.app.stop()
          await load.stop()
          load = start('./load.ts')
        }
      }
    }
    await each(all, async (one) => {
      one.url = await one.app.call('listen')
    })
    for (let round = 1; round <= rounds; round++) {
      say(`round ${round} of ${rounds}`)
      await each(round % 2 === 1 ? all : all.toReversed(), (one) => turn(one, load, seconds))
    }
    const cells = all.map(resultOf)
    const date = new Date().toISOString().slice(0, 10)
    return { node: process.versions.node, cores: availableParallelism(), date, rounds, seconds, cells }
  } finally {
    for (const part of parts) await part.stop()
  }
}

async function turn(one: Running, load: Part, seconds: number): Promise<void> {
  const { app, url } = one
  const count = Math.round(TASKS_PER_SECOND * seconds)
  await app.call('warm')
  const idle = await load.call<Pings>('idle', { url, seconds: IDLE_SECONDS })
  await app.call('begin', { count })
  one.tasks += count
  const [{ completed, error, ...done }] = await Promise.all([
    app.call<Done>('drained'),
    load.call('ask', { url, count }),
  ])
  const pings = await load.call<Pings>('stop')
  one.completed += completed
  if (completed < count) throw new Error(`${count - completed} of ${count} tasks failed: ${error}`)
  one.turns.push({
    ...done,
    pingP50: pings.p50,
    pingP99: pings.p99,
    pingMax: pings.max,
    idleP50: idle.p50,
    idleP99: idle.p99,
    ratio: pings.p99 / idle.p99,
  })
}

function resultOf({ cell, turns, tasks, completed, failed }: Running): CellResult {
  const names = Object.keys(turns[0] ?? {}) as (keyof Figures)[]
  const figures = Object.fromEntries(names.map((name) => [name, median(turns.map((figures) => figures[name]))]))
  const nothing = names.find((name) => !(figures[name]! > 0))
  const reason = failed ?? (nothing === undefined ? undefined : `${nothing} is ${figures[nothing]}`)
  return {
    ...cell,
    tasks,
    completed,
    failed: reason,
    median: reason === undefined ? (figures as unknown as Figures) : undefined,
    rounds: turns,
  }
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const timer = new AbortController()
  const late = setTimeout(ms, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`Not over after ${ms / 1000} s.`)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    late.catch(() => {})
    timer.abort()
  }
}
