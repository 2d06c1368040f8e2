/**
 * What requests pay when spans cannot be sent. The app with Afterspan four times: spans thrown away in the process (the
 * yardstick), a collector that is not there, one that answers after 2 s, and one that takes the connection and never answers. All are up
 * at once and take turns under the same load, at a rate of 500 requests a second that leaves the latency to the app and
 * not to the queue in front of it; 5 s of full load come first. Ratios are of neighbouring turns.
 */

import { Child } from './child.ts'
import type { Load } from './load.ts'
import { type Bench, median, type Row, ratios } from './report.ts'

const EXPORTERS = ['thrown away', 'unreachable', 'slow', 'black hole'] as const
type Exporter = (typeof EXPORTERS)[number]

/** A port that nothing listens on: discard. */
const NOWHERE = 'http://127.0.0.1:9/v1/traces'

interface Turn extends Load {
  readonly rss: number
}

export const exporter: Bench = {
  name: 'exporter',
  about:
    'Request latency at 500 requests/s while the exporter fails, against spans that are thrown away in the process.',
  async run({ quick }) {
    const turns: Record<Exporter, Turn[]> = { 'thrown away': [], unreachable: [], slow: [], 'black hole': [] }
    const slow = new Child('./collector.ts', { latency: 2_000 })
    const hole = new Child('./collector.ts', {})
    const load = new Child('./load.ts')
    const urls: Record<Exporter, string | undefined> = {
      'thrown away': undefined,
      unreachable: NOWHERE,
      slow: await slow.call<string>('listen'),
      'black hole': await hole.call<string>('listen'),
    }
    const apps = EXPORTERS.map((name) => ({
      name,
      app: new Child('./http-app.ts', { variant: 'afterspan', exporter: urls[name] }),
      url: '',
    }))
    try {
      for (const one of apps) one.url = await one.app.call<string>('listen')
      for (const { url } of apps) await load.call('run', { url, seconds: 5 })
      for (let slice = 0; slice < (quick ? 4 : 8); slice++) {
        for (const { name, app, url } of rotated(apps, slice)) {
          await app.call('begin')
          const measured = await load.call<Load>('steady', { url, seconds: 2, rate: 500 })
          turns[name].push({ ...measured, ...(await app.call<{ rss: number }>('end')) })
        }
      }
    } finally {
      for (const { app } of apps) await app.stop()
      for (const child of [slow, hole, load]) await child.stop()
    }
    const rows: Row[] = []
    const of = (name: Exporter, figure: keyof Turn) => turns[name].map((turn) => turn[figure])
    for (const name of EXPORTERS) {
      rows.push({ label: `latency p50: ${name}`, unit: 'ms', values: of(name, 'p50') })
      rows.push({ label: `latency p99: ${name}`, unit: 'ms', values: of(name, 'p99') })
      rows.push({ label: `memory of the process: ${name}`, unit: 'MB', values: [median(of(name, 'rss'))] })
    }
    for (const name of EXPORTERS.slice(1)) {
      for (const figure of ['p50', 'p99'] as const) {
        const values = ratios(of(name, figure), of('thrown away', figure))
        rows.push({ label: `latency ${figure}, ${name} : thrown away`, unit: '×', values, promise: { most: 1.05 } })
      }
    }
    return rows
  },
}

/** Each comes first, and last, equally often. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const from = by % items.length
  return [...items.slice(from), ...items.slice(0, from)]
}
