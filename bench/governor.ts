/**
 * What requests wait while tasks hold the event loop, and how much is done meanwhile: under the governor, which finds by
 * itself how much may run, and in p-queue with fixed limits, of which the best that keeps the promise is the one that somebody
 * with this very load and machine at hand would have set. All are up at once and take turns; ratios are of neighbouring turns.
 * Requests come at a fixed rate, whether those before are answered or not.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { Child } from './child.ts'
import type { Side } from './governor-app.ts'
import type { Load } from './load.ts'
import { type Bench, median, type Row, ratios } from './report.ts'

/** The delay that keeps the promise with slices of 5 ms. */
const MAX_LOOP_DELAY = 0.4
const PROMISE = 1.5
const RATES = [20, 40, 60, 80, 100, 130]
const SECONDS = 5
const SETTLES = 2_500

const SIDES: readonly { readonly label: string; readonly side: Side }[] = [
  { label: 'idle', side: { kind: 'idle' } },
  { label: `governor, ${MAX_LOOP_DELAY} ms`, side: { kind: 'governor', maxLoopDelay: MAX_LOOP_DELAY } },
  { label: `the same with AIMD`, side: { kind: 'governor', maxLoopDelay: MAX_LOOP_DELAY, law: 'aimd' } },
  ...[1, 2, 4, 8].map((concurrency) => ({
    label: `p-queue, concurrency ${concurrency}`,
    side: { kind: 'p-queue', concurrency } as const,
  })),
  ...RATES.map((perSecond) => ({
    label: `p-queue, ${perSecond}/s`,
    side: { kind: 'p-queue', concurrency: 1, perSecond } as const,
  })),
]

interface Turn extends Load {
  readonly done: number
}

export const governor: Bench = {
  name: 'governor',
  about:
    'Latency of a trivial request at 200 requests/s while tasks of 5 ms are offered at three times what is possible.',
  async run({ quick }) {
    const load = new Child('./load.ts')
    const apps = SIDES.map(({ label, side }) => ({
      label,
      side,
      app: new Child('./governor-app.ts', side),
      turns: [] as Turn[],
    }))
    try {
      const urls = await Promise.all(apps.map(({ app }) => app.call<string>('listen')))
      for (let round = -1; round < (quick ? 2 : 7); round++) {
        const order = round % 2 === 0 ? apps : apps.toReversed()
        for (const one of order) {
          const url = urls[apps.indexOf(one)]!
          await one.app.call('begin')
          await load.call('steady', { url, seconds: SETTLES / 1_000, rate: 200 })
          await one.app.call('count')
          const started = performance.now()
          const measured = await load.call<Load>('steady', { url, seconds: round < 0 ? 1 : SECONDS, rate: 200 })
          const { done } = await one.app.call<{ done: number }>('end')
          if (round >= 0) one.turns.push({ ...measured, done: (1_000 * done) / (performance.now() - started) })
          // What still runs is not to be in the next turn.
          await sleep(200)
        }
      }
    } finally {
      for (const { app } of apps) await app.stop()
      await load.stop()
    }
    const of = (label: string, figure: keyof Turn) =>
      apps.find((one) => one.label === label)!.turns.map((turn) => turn[figure])
    const slower = (label: string) => ratios(of(label, 'p99'), of('idle', 'p99'))
    const fixed = apps.filter(({ side }) => side.kind === 'p-queue').map(({ label }) => label)
    const tuned = fixed
      .filter((label) => median(slower(label)) <= PROMISE)
      .sort((a, b) => median(of(b, 'done')) - median(of(a, 'done')))[0]
    const [, governed] = apps.map(({ label }) => label)
    const rows: Row[] = [
      { label: 'latency p50: idle', unit: 'ms', values: of('idle', 'p50') },
      { label: 'latency p99: idle', unit: 'ms', values: of('idle', 'p99') },
    ]
    for (const { label, side } of apps.slice(1)) {
      const promise = side.kind === 'governor' && side.law === undefined ? { promise: { most: PROMISE } } : {}
      rows.push({ label: `${label}: tasks/s`, unit: '/s', values: of(label, 'done') })
      rows.push({ label: `${label}: latency p99 : idle`, unit: '×', values: slower(label), ...promise })
    }
    if (tuned !== undefined) {
      rows.push({
        label: `tasks/s, governor : best fixed limit within ${PROMISE} × (${tuned})`,
        unit: '×',
        values: ratios(of(governed!, 'done'), of(tuned, 'done')),
        promise: { least: 0.8 },
      })
    }
    return rows
  },
}
