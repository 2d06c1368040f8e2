/**
 * What it costs to profile: the same tasks (CPU, timers, file reads; 16 at once) without and with `afterspan/profiler`, at its
 * default rate and at 1,000/s, and with Node's own inspector at the same 100/s, which cannot tell tasks apart. CPU time of the
 * whole process for the same work, with garbage collection and the thread that interrupts, in alternating turns of one
 * process: two processes differ by more than is looked for.
 */

import { Child, once } from './child.ts'
import type { Variant } from './profiler-part.ts'
import { type Bench, ratios } from './report.ts'

const VARIANTS = {
  profiler: 'profiler, 100/s',
  fast: 'profiler, 1,000/s',
  inspector: 'inspector, 100/s, no labels',
} as const satisfies Record<Variant, string>

interface Pairs {
  readonly none: number[]
  readonly sampled: number[]
}

async function pairs(child: Child, which: 'work' | 'trivial', count: number, turns: number): Promise<Pairs> {
  const found: Pairs = { none: [], sampled: [] }
  await child.call('pair', { which, count, withFirst: false })
  for (let turn = 0; turn < turns; turn++) {
    const pair = await child.call<{ none: number; sampled: number }>('pair', {
      which,
      count,
      withFirst: turn % 2 === 1,
    })
    found.none.push(pair.none)
    found.sampled.push(pair.sampled)
  }
  return found
}

export const profiler: Bench = {
  name: 'profiler',
  about:
    'Tasks with CPU, timers and file reads, 16 at once; CPU time with garbage collection, without and with, in one process.',
  async run({ quick }) {
    const turns = quick ? 6 : 20
    const rows = []
    for (const variant of Object.keys(VARIANTS) as Variant[]) {
      const label = VARIANTS[variant]
      const child = new Child('./profiler-part.ts', { variant })
      try {
        const { none, sampled } = await pairs(child, 'work', 1_600, turns)
        const promise = variant === 'profiler' && { promise: { most: 1.02 } }
        rows.push({ label: `CPU per task: none, beside ${label}`, unit: 'µs', values: none })
        rows.push({ label: `CPU per task: ${label}`, unit: 'µs', values: sampled })
        rows.push({ label: `${label} : none`, unit: '×', values: ratios(sampled, none), ...promise })
        if (variant !== 'inspector') {
          const trivial = await pairs(child, 'trivial', 20_000, turns / 2)
          const more = trivial.sampled.map((cpu, turn) => cpu - trivial.none[turn]!)
          rows.push({ label: `${label}: more CPU per trivial attempt`, unit: 'µs', values: more })
        }
        for (const sampled of [false, true]) {
          const idle = await child.call<number>('idle', { sampled })
          rows.push({ label: `idle process: ${sampled ? label : 'none'}`, unit: '% of a core', values: [idle] })
        }
        const reads: number[] = []
        for (let turn = 0; turn < 5; turn++) reads.push(await child.call<number>('read'))
        rows.push({ label: `to read its samples: ${label}`, unit: 'ms', values: reads })
      } finally {
        await child.stop()
      }
    }
    for (const heap of [50, 200]) {
      const times: number[] = []
      for (let round = 0; round < (quick ? 1 : 3); round++) {
        times.push(await once<number>('./profiler-part.ts', { variant: 'profiler' }, 'start', [], { heap }))
      }
      rows.push({ label: `to begin, heap of ${heap} MB`, unit: 'ms', values: times })
    }
    return rows
  },
}
