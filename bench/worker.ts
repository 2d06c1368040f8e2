/**
 * What requests wait while CPU-bound tasks of 50 ms run without a pause: the same app idle, with the tasks in one worker
 * thread, and with them in the event loop. All three are up at once and take turns under 100 requests a second; ratios are
 * of neighbouring turns. One thread, so that the app keeps a core of two; the load has to share it.
 */

import { Child } from './child.ts'
import type { Load } from './load.ts'
import { type Bench, type Row, ratios } from './report.ts'
import type { Where } from './worker-app.ts'

const PLACES: readonly Where[] = ['idle', 'worker', 'loop']
const LABELS: Record<Where, string> = { idle: 'idle', worker: 'in a worker thread', loop: 'in the event loop' }

interface Turn extends Load {
  readonly done: number
}

export const worker: Bench = {
  name: 'worker',
  about: 'Latency of a trivial request at 100 requests/s while tasks of 50 ms of CPU run one after the other.',
  async run({ quick }) {
    const turns: Record<Where, Turn[]> = { idle: [], worker: [], loop: [] }
    const load = new Child('./load.ts')
    const apps = PLACES.map((where) => ({ where, app: new Child('./worker-app.ts', { where }), url: '' }))
    const seconds = 4
    try {
      for (const one of apps) one.url = await one.app.call<string>('listen')
      for (const { app, url } of apps) {
        await app.call('begin')
        await load.call('steady', { url, seconds: 2, rate: 100 })
        await app.call('end')
      }
      for (let slice = 0; slice < (quick ? 4 : 12); slice++) {
        for (const { where, app, url } of slice % 2 === 0 ? apps : apps.toReversed()) {
          await app.call('begin')
          const measured = await load.call<Load>('steady', { url, seconds, rate: 100 })
          turns[where].push({ ...measured, ...(await app.call<{ done: number }>('end')) })
          // The last task of the turn is not to be in the next.
          await new Promise((resolve) => setTimeout(resolve, 200))
        }
      }
    } finally {
      for (const { app } of apps) await app.stop()
      await load.stop()
    }
    const of = (where: Where, figure: keyof Turn) => turns[where].map((turn) => turn[figure])
    const rows = (['p50', 'p99'] as const).flatMap((figure) =>
      PLACES.map(
        (where): Row => ({ label: `latency ${figure}: ${LABELS[where]}`, unit: 'ms', values: of(where, figure) }),
      ),
    )
    for (const where of ['worker', 'loop'] as const) {
      rows.push({
        label: `tasks/s: ${LABELS[where]}`,
        unit: '/s',
        values: of(where, 'done').map((done) => done / seconds),
      })
    }
    rows.push(
      {
        label: 'latency p99, in a worker thread : idle',
        unit: '×',
        values: ratios(of('worker', 'p99'), of('idle', 'p99')),
        promise: { most: 1.3 },
      },
      {
        label: 'latency p99, in the event loop : idle',
        unit: '×',
        values: ratios(of('loop', 'p99'), of('idle', 'p99')),
      },
    )
    return rows
  },
}
