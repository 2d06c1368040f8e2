/**
 * What an app pays per request. The same Express app four times: without tracing, with OpenTelemetry, with the hand-written
 * telemetry around its task, and with Afterspan in its place. All four are up at once and take turns of a second under load
 * from a separate process, in an order that is turned round each time; ratios are of neighbouring turns. Each round has
 * fresh processes. The span exporter throws its batches away behind the same span processor, so no collector is measured.
 */

import { Child } from './child.ts'
import type { Variant } from './http-app.ts'
import type { Load } from './load.ts'
import { type Bench, type Row, ratios } from './report.ts'

const VARIANTS: readonly Variant[] = ['bare', 'otel', 'by-hand', 'afterspan']
const LABELS: Record<Variant, string> = {
  bare: 'no tracing',
  otel: 'OpenTelemetry',
  'by-hand': '… + span, histogram, counter by hand',
  afterspan: '… + Afterspan',
}

interface Turn extends Load {
  readonly cpu: number
  readonly backlog: number
}

export const http: Bench = {
  name: 'http',
  about:
    'An Express app with a task of 20 µs after each response, 32 connections; spans go to an exporter that discards.',
  async run({ quick }) {
    const turns: Record<Variant, Turn[]> = { bare: [], otel: [], 'by-hand': [], afterspan: [] }
    for (let round = 0; round < (quick ? 1 : 2); round++) await oneRound(turns, quick ? 3 : 9)
    const of = (variant: Variant, figure: keyof Turn) => turns[variant].map((turn) => turn[figure])
    const rows = (figure: keyof Turn, what: string, unit: string): Row[] =>
      VARIANTS.map((variant) => ({ label: `${what}: ${LABELS[variant]}`, unit, values: of(variant, figure) }))
    const backlog: Row[] = VARIANTS.map((variant) => ({
      label: `tasks not yet run after the load: ${LABELS[variant]}`,
      unit: '',
      values: of(variant, 'backlog'),
      ...(variant === 'afterspan' && { promise: { most: 0 } }),
    }))
    return [
      ...rows('rate', 'requests', '/s'),
      ...rows('p50', 'p50', 'ms'),
      ...rows('p99', 'p99', 'ms'),
      ...rows('cpu', 'CPU per request', 'µs'),
      ratio('requests/s, Afterspan : by hand', of('afterspan', 'rate'), of('by-hand', 'rate'), { least: 0.97 }),
      ratio('requests/s, OpenTelemetry : no tracing', of('otel', 'rate'), of('bare', 'rate')),
      ratio('CPU per request, Afterspan : by hand', of('afterspan', 'cpu'), of('by-hand', 'cpu')),
      ...backlog,
    ]
  },
}

function ratio(label: string, of: readonly number[], to: readonly number[], promise?: Row['promise']): Row {
  return { label, unit: '×', values: ratios(of, to), ...(promise !== undefined && { promise }) }
}

async function oneRound(turns: Record<Variant, Turn[]>, slices: number): Promise<void> {
  const load = new Child('./load.ts')
  const apps = VARIANTS.map((variant) => ({ variant, app: new Child('./http-app.ts', { variant }), url: '' }))
  try {
    for (const one of apps) one.url = await one.app.call<string>('listen')
    // Until the code is compiled: after two seconds half of the CPU time is still the compiler's.
    for (const { url } of apps) await load.call('run', { url, seconds: 6 })
    for (let slice = 0; slice < slices; slice++) {
      for (const { variant, app, url } of slice % 2 === 0 ? apps : apps.toReversed()) {
        await app.call('begin')
        const measured = await load.call<Load>('run', { url, seconds: 1 })
        turns[variant].push({ ...measured, ...(await app.call<{ cpu: number; backlog: number }>('end')) })
      }
    }
  } finally {
    for (const { app } of apps) await app.stop()
    await load.stop()
  }
}
