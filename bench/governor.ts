/**
 * What requests wait while tasks hold the event loop, and how much is done meanwhile: under the governor, which finds by
 * itself how much may run, and in p-queue with fixed limits, of which the best that keeps the promise is the one that somebody
 * with this very load and machine at hand would have set. All are up at once and take turns, each after one of the idle app,
 * to which its latency is compared. Two loads: as many requests as 32 connections can make, and a hundred a second, sent
 * whether those before are answered or not.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { Child } from './child.ts'
import type { Side } from './governor-app.ts'
import type { Load } from './load.ts'
import { type Bench, median, type Row } from './report.ts'

/** Of `maxLoopDelay`, ms. */
const DELAYS = [0.25, 0.5, 1]
/** The one that keeps the promise with slices of 5 ms. */
const PROMISED = 0.25
const RATES = [3, 6, 12, 24, 48]
const REQUESTS = 100
const SECONDS = 5
/** The time that the governor needs to find its limit, and more. */
const SETTLES = 2.5

const governed = (maxLoopDelay: number) => `governor, ${maxLoopDelay} ms`

const SIDES: readonly { readonly label: string; readonly side: Side }[] = [
  ...DELAYS.map((maxLoopDelay) => ({
    label: governed(maxLoopDelay),
    side: { kind: 'governor', maxLoopDelay } as const,
  })),
  { label: `with AIMD, ${PROMISED} ms`, side: { kind: 'governor', maxLoopDelay: PROMISED, law: 'aimd' } },
  ...RATES.map((perSecond) => ({
    label: `p-queue, ${perSecond}/s`,
    side: { kind: 'p-queue', concurrency: 1, perSecond } as const,
  })),
  ...[1, 8].map((concurrency) => ({
    label: `p-queue, concurrency ${concurrency}`,
    side: { kind: 'p-queue', concurrency } as const,
  })),
]

interface Turn extends Load {
  readonly done: number
  /** What the idle app was like just before. */
  readonly idle: Load
}

const ABOUT = 'while tasks of 5 ms are offered at three times what is possible.'

export const governor: Bench = {
  name: 'governor',
  about: `Latency of a trivial request, as many as 32 connections can ask, ${ABOUT}`,
  run: ({ quick }) => compare(quick, (load, url, seconds) => load.call('run', { url, seconds }), true),
}

export const governorSteady: Bench = {
  name: 'governor-steady',
  about: `Latency of a trivial request at ${REQUESTS} requests/s ${ABOUT}`,
  run: ({ quick }) =>
    compare(quick, (load, url, seconds) => load.call('steady', { url, seconds, rate: REQUESTS }), false),
}

async function compare(
  quick: boolean,
  ask: (load: Child, url: string, seconds: number) => Promise<Load>,
  promised: boolean,
): Promise<Row[]> {
  const load = new Child('./load.ts')
  const idle = new Child('./governor-app.ts', { kind: 'idle' })
  const apps = SIDES.map(({ label, side }) => ({
    label,
    side,
    app: new Child('./governor-app.ts', side),
    turns: [] as Turn[],
  }))
  try {
    const idleUrl = await idle.call<string>('listen')
    const urls = await Promise.all(apps.map(({ app }) => app.call<string>('listen')))
    for (let round = -1; round < (quick ? 2 : 5); round++) {
      const order = round % 2 === 0 ? apps : apps.toReversed()
      for (const one of order) {
        const url = urls[apps.indexOf(one)]!
        const seconds = round < 0 ? 1 : SECONDS
        const before = await ask(load, idleUrl, seconds)
        await one.app.call('begin')
        await ask(load, url, SETTLES)
        await one.app.call('count')
        const started = performance.now()
        const measured = await ask(load, url, seconds)
        const { done } = await one.app.call<{ done: number }>('end')
        if (round >= 0)
          one.turns.push({ ...measured, done: (1_000 * done) / (performance.now() - started), idle: before })
        // What still runs is not to be in the next turn.
        await sleep(200)
      }
    }
  } finally {
    for (const { app } of apps) await app.stop()
    await idle.stop()
    await load.stop()
  }
  const turnsOf = (label: string) => apps.find((one) => one.label === label)!.turns
  const done = (label: string) => turnsOf(label).map((turn) => turn.done)
  const slower = (label: string) => turnsOf(label).map((turn) => turn.p99 / turn.idle.p99)
  const rows: Row[] = (['p50', 'p99'] as const).map((figure) => ({
    label: `latency ${figure}: idle`,
    unit: 'ms',
    values: apps.flatMap(({ turns }) => turns.map((turn) => turn.idle[figure])),
  }))
  for (const { label } of apps) {
    const promise = promised && label === governed(PROMISED) ? { promise: { most: 1.5 } } : {}
    rows.push({ label: `latency p99 : idle, ${label}`, unit: '×', values: slower(label), ...promise })
    rows.push({ label: `tasks/s, ${label}`, unit: '/s', values: done(label) })
  }
  const fixed = RATES.map((perSecond) => `p-queue, ${perSecond}/s`).map((label) => ({
    slower: median(slower(label)),
    done: median(done(label)),
  }))
  for (const label of DELAYS.map(governed)) {
    const promise = promised && label === governed(PROMISED) ? { promise: { least: 0.8 } } : {}
    const value = median(done(label)) / tuned(fixed, median(slower(label)))
    rows.push({
      label: `tasks/s : those of the fixed rate with that p99, ${label}`,
      unit: '×',
      values: [value],
      ...promise,
    })
  }
  return rows
}

/**
 * How many tasks a second the fixed rate does that has this p99, between the rates that were measured. More tasks cannot make
 * requests faster, so neighbours that came out the other way round are taken together until none do: isotonic regression by
 * pooling adjacent violators (Ayer and others, 1955), of the slowdown over the rate, with none at rest.
 */
function tuned(fixed: readonly { readonly slower: number; readonly done: number }[], slower: number): number {
  const pools: { slower: number; rates: number[] }[] = []
  for (const point of [{ slower: 1, done: 0 }, ...fixed]) {
    pools.push({ slower: point.slower, rates: [point.done] })
    while (pools.length > 1 && pools.at(-2)!.slower > pools.at(-1)!.slower) {
      const [before, last] = pools.splice(-2) as [(typeof pools)[0], (typeof pools)[0]]
      const rates = [...before.rates, ...last.rates]
      const sum = before.slower * before.rates.length + last.slower * last.rates.length
      pools.push({ slower: sum / rates.length, rates })
    }
  }
  const line = pools.flatMap((pool) => pool.rates.map((done) => ({ done, slower: pool.slower })))
  const above = line.findIndex((point) => point.slower > slower)
  if (above <= 0) return line.at(above)!.done
  const to = line[above]!
  const from = line[above - 1]!
  return from.done + ((slower - from.slower) / (to.slower - from.slower)) * (to.done - from.done)
}
