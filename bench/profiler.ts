/**
 * What it costs to profile: the same tasks (CPU, timers, file reads; 16 at once) with no profiler, with `afterspan/profiler` at its
 * default rate and at 1,000/s, and with Node's own inspector at the same 100/s, which cannot tell tasks apart. CPU time of the
 * whole process for the same work, with garbage collection and the thread that interrupts; variants in alternating turns.
 */

import { Child, once } from './child.ts'
import type { Variant } from './profiler-part.ts'
import { type Bench, ratios } from './report.ts'

const VARIANTS: readonly Variant[] = ['none', 'profiler', 'fast', 'inspector']

export const profiler: Bench = {
  name: 'profiler',
  about:
    'Tasks with CPU, timers and file reads, 16 at once; CPU time with garbage collection, the same work in each variant.',
  async run({ quick }) {
    const cpu: Record<Variant, number[]> = { none: [], profiler: [], fast: [], inspector: [] }
    const idle: Record<Variant, number[]> = { none: [], profiler: [], fast: [], inspector: [] }
    const read = { profiler: [] as number[], inspector: [] as number[] }
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      const parts = VARIANTS.map((variant) => ({ variant, child: new Child('./profiler-part.ts', { variant }) }))
      try {
        for (const { child } of parts) await child.call('run', { count: 2_000 })
        for (let slice = 0; slice < (quick ? 4 : 8); slice++) {
          for (const { variant, child } of slice % 2 === 0 ? parts : parts.toReversed()) {
            cpu[variant].push(await child.call<number>('run', { count: 3_000 }))
            if (variant === 'profiler' || variant === 'inspector') read[variant].push(await child.call<number>('read'))
          }
        }
        for (const { variant, child } of parts) idle[variant].push(await child.call<number>('idle'))
      } finally {
        for (const { child } of parts) await child.stop()
      }
    }
    const starts = new Map<number, number[]>()
    for (const heap of [50, 200]) {
      const times: number[] = []
      for (let round = 0; round < (quick ? 1 : 3); round++) {
        times.push(await once<number>('./profiler-part.ts', { variant: 'profiler' }, 'start', [], { heap }))
      }
      starts.set(heap, times)
    }
    return [
      { label: 'CPU per task: no profiler', unit: 'µs', values: cpu.none },
      { label: 'CPU per task: profiler, 100/s', unit: 'µs', values: cpu.profiler },
      { label: 'CPU per task: profiler, 1,000/s', unit: 'µs', values: cpu.fast },
      { label: 'CPU per task: inspector, 100/s, no labels', unit: 'µs', values: cpu.inspector },
      { label: 'profiler, 100/s : none', unit: '×', values: ratios(cpu.profiler, cpu.none), promise: { most: 1.02 } },
      { label: 'profiler, 1,000/s : none', unit: '×', values: ratios(cpu.fast, cpu.none) },
      { label: 'inspector, 100/s : none', unit: '×', values: ratios(cpu.inspector, cpu.none) },
      { label: 'idle process: no profiler', unit: '% of a core', values: idle.none },
      { label: 'idle process: profiler, 100/s', unit: '% of a core', values: idle.profiler },
      { label: 'idle process: profiler, 1,000/s', unit: '% of a core', values: idle.fast },
      { label: 'to read samples: profiler', unit: 'ms', values: read.profiler },
      { label: 'to read samples: inspector, ended and begun', unit: 'ms', values: read.inspector },
      ...[...starts].map(([heap, values]) => ({ label: `to begin, heap of ${heap} MB`, unit: 'ms', values })),
    ]
  },
}
