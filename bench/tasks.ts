/**
 * What a task costs by itself, with a real tracer and meter provider registered and every span thrown away as it ends: a
 * trivial async function called bare, in hand-written telemetry (the floor: one span with four attributes, one histogram,
 * one counter), and deferred with Afterspan (one span with six attributes, three histograms, the counts, the figures of
 * `health`). A thousand are in hand at once; CPU time of the whole process, garbage collection included.
 */

import { Child } from './child.ts'
import { type Bench, ratios } from './report.ts'
import type { Variant } from './tasks-part.ts'

const VARIANTS: readonly Variant[] = ['bare', 'by-hand', 'afterspan']

export const tasks: Bench = {
  name: 'tasks',
  about: 'A trivial async function, full telemetry, spans thrown away as they end; CPU time with garbage collection.',
  async run({ quick }) {
    const cpu: Record<Variant, number[]> = { bare: [], 'by-hand': [], afterspan: [] }
    const defer = { free: [] as number[], held: [] as number[] }
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      const parts = VARIANTS.map((variant) => ({ variant, child: new Child('./tasks-part.ts', { variant }) }))
      const afterspan = parts.at(-1)!.child
      try {
        for (const { child } of parts) await child.call('run', { batches: 50 })
        for (let slice = 0; slice < (quick ? 3 : 5); slice++) {
          for (const { variant, child } of slice % 2 === 0 ? parts : parts.toReversed()) {
            cpu[variant].push(await child.call<number>('run', { batches: 50 }))
          }
        }
        for (const held of [false, true]) {
          await afterspan.call('defer', { batches: 20, held })
          const values = held ? defer.held : defer.free
          for (let slice = 0; slice < 5; slice++)
            values.push(await afterspan.call<number>('defer', { batches: 30, held }))
        }
      } finally {
        for (const { child } of parts) await child.stop()
      }
    }
    return [
      { label: 'CPU per task: bare call', unit: 'µs', values: cpu.bare },
      { label: 'CPU per task: span, histogram, counter by hand', unit: 'µs', values: cpu['by-hand'] },
      { label: 'CPU per task: Afterspan', unit: 'µs', values: cpu.afterspan },
      {
        label: 'Afterspan : by hand',
        unit: '×',
        values: ratios(cpu.afterspan, cpu['by-hand']),
        promise: { most: 1.25 },
      },
      { label: 'defer() outside a request', unit: 'µs', values: defer.free, promise: { most: 5 } },
      { label: 'defer() in a request', unit: 'µs', values: defer.held, promise: { most: 5 } },
    ]
  },
}
