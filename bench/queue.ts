/**
 * What a queued task costs when there are many: three priorities, 50 task names, no telemetry registered (it would hide the
 * queue behind a constant). `defer()` while the queue fills, then one start and one `defer()` in turn at that depth, and the
 * heap per queued task, its handle and its AsyncResource included. p-queue beside it stops where filling takes too long.
 */

import { once } from './child.ts'
import type { Measured } from './queue-part.ts'
import { type Bench, type Row, ratios } from './report.ts'

const DEPTHS = [1_000, 10_000, 100_000, 1_000_000]

type Library = 'afterspan' | 'p-queue'

export const queue: Bench = {
  name: 'queue',
  about: 'Three priorities, 50 task names, a blocker in the only slot; thread CPU time; p-queue gets 8 s a step.',
  async run({ quick }) {
    const measured = new Map<string, Measured[]>()
    const of = (library: Library, depth: number) => measured.get(`${library} ${depth}`) ?? []
    const rounds = quick ? 1 : 3
    for (let round = 0; round < rounds; round++) {
      for (const depth of round % 2 === 0 ? DEPTHS : DEPTHS.toReversed()) {
        for (const library of ['afterspan', 'p-queue'] as const) {
          // At a million p-queue does not get a tenth full in its time; it costs a minute to say so three times.
          if (library === 'p-queue' && (depth > 100_000 || (round > 0 && depth > 10_000))) continue
          const seconds = library === 'p-queue' ? 8 : 60
          const part = await once<Measured>('./queue-part.ts', { library, depth, seconds }, 'run', [
            '--max-old-space-size=6144',
          ])
          measured.set(`${library} ${depth}`, [...of(library, depth), part])
        }
      }
    }
    const rows: Row[] = []
    for (const library of ['afterspan', 'p-queue'] as const) {
      for (const [figure, what, unit] of FIGURES) {
        for (const depth of DEPTHS) {
          const values = of(library, depth).map((one) => one[figure])
          if (values.length === 0) continue
          const reached = Math.min(...of(library, depth).map((one) => one.reached))
          const stopped = reached < depth ? ` (stopped at ${reached.toLocaleString('en')})` : ''
          const promise = library === 'afterspan' && figure === 'bytes' ? { promise: { most: 1_024 } } : {}
          rows.push({
            label: `${library}: ${what}, ${depth.toLocaleString('en')} queued${stopped}`,
            unit,
            values,
            ...promise,
          })
        }
      }
    }
    for (const [figure, what] of [FIGURES[0], FIGURES[1]]) {
      const at = (depth: number) => of('afterspan', depth).map((one) => one[figure])
      rows.push({
        label: `afterspan: ${what}, 1,000,000 : 1,000`,
        unit: '×',
        values: ratios(at(1_000_000), at(1_000)),
        // A fill of a thousand is garbage before it is ever copied, so its `defer()` alone is cheaper than at any depth
        // from 10,000 on, with p-queue as well; a queue that stands at a depth pays for each task's whole stay.
        ...(figure === 'cycle' && { promise: { most: 1.2 } }),
      })
    }
    return rows
  },
}

const FIGURES = [
  ['fill', 'defer()', 'µs'],
  ['cycle', 'start + defer()', 'µs'],
  ['bytes', 'memory per task', 'B'],
] as const
