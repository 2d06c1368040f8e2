/**
 * What the page inside the app costs an app that does 1,000 tasks a second of 100 names, each in a request of its own that is
 * traced: CPU of the whole process as a share of one core, garbage collection included, without the dashboard, with it mounted
 * and no page open, and with one open. The processes are up at once and take turns. What is kept of an hour is measured by
 * `test/dashboard/memory.test.ts`.
 */

import { get } from 'node:http'
import { Child } from './child.ts'
import type { DashboardPart } from './dashboard-part.ts'
import type { Bench } from './report.ts'

const RATE = 1_000

export const dashboard: Bench = {
  name: 'dashboard',
  about: '1,000 tasks a second of 100 names, each in a traced request; CPU as a share of one core.',
  async run({ quick }) {
    const seconds = quick ? 4 : 6
    const cpu = { without: [] as number[], mounted: [] as number[], open: [] as number[] }
    const part = (mounted: boolean) => new Child('./dashboard-part.ts', { mounted } satisfies DashboardPart)
    const [without, mounted] = [part(false), part(true)]
    try {
      const port = await mounted.call<number>('listen')
      // As much as fills the spans that are kept, and compiles what will run.
      for (const child of [without, mounted]) await child.call('load', { seconds: 5, rate: 4 * RATE })
      const measure = async (child: Child) => 100 * (await child.call<number>('load', { seconds, rate: RATE }))
      const withPage = async () => {
        const req = get({ host: '127.0.0.1', port, path: '/api/events' }, (res) => res.resume())
        req.on('error', () => {})
        try {
          return await measure(mounted)
        } finally {
          req.destroy()
        }
      }
      for (let round = 0; round < (quick ? 3 : 8); round++) {
        const turns = [
          async () => void cpu.without.push(await measure(without)),
          async () => void cpu.mounted.push(await measure(mounted)),
          async () => void cpu.open.push(await withPage()),
        ]
        for (const turn of round % 2 === 0 ? turns : turns.toReversed()) await turn()
      }
      const memory = [await without.call<number>('memory'), await mounted.call<number>('memory')] as const
      const more = (with_: readonly number[]) => with_.map((value, round) => value - cpu.without[round]!)
      return [
        { label: 'CPU without the dashboard', unit: '% of a core', values: cpu.without },
        { label: 'CPU with it mounted, no page open', unit: '% of a core', values: cpu.mounted },
        { label: 'CPU with a page open', unit: '% of a core', values: cpu.open },
        { label: 'mounted − without', unit: '% of a core', values: more(cpu.mounted), promise: { most: 3 } },
        { label: 'page open − without', unit: '% of a core', values: more(cpu.open) },
        {
          label: 'memory: mounted − without, after these minutes',
          unit: 'MB',
          values: [memory[1] - memory[0]],
          promise: { most: 30 },
        },
      ]
    } finally {
      for (const child of [without, mounted]) await child.stop()
    }
  },
}
