/**
 * Whether spans arrive. A collector answers each batch after 100 ms; a process makes 3,000 task spans a second for some
 * seconds, each under the SERVER span of its request, or 200,000 spans in one turn of its event loop, and then flushes. OpenTelemetry's own BatchSpanProcessor at its
 * defaults beside that of `afterspan/sdk`, both behind the same OTLP exporter.
 */

import { Child } from './child.ts'
import type { Bench, Row } from './report.ts'

interface Delivery {
  readonly made: number
  readonly received: number
  readonly counted: number
}

export const delivery: Bench = {
  name: 'delivery',
  about:
    '3,000 task spans a second with a SERVER span each, and a burst of 200,000, to a collector that answers in 100 ms.',
  async run({ quick }) {
    const rows: Row[] = []
    for (const [what, call, argument] of [
      ['3,000 tasks/s', 'steady', { rate: 3_000, seconds: quick ? 4 : 10 }],
      ['burst', 'burst', { count: 200_000 }],
    ] as const) {
      for (const processor of ['stock', 'afterspan'] as const) {
        const { made, received, counted } = await deliver(processor, call, argument)
        const row = (figure: string, value: number, promise?: Row['promise']) =>
          rows.push({
            label: `${what}, ${processor === 'stock' ? 'BatchSpanProcessor' : 'Afterspan'}: ${figure}`,
            unit: 'spans',
            values: [value],
            ...(processor === 'afterspan' && promise !== undefined && { promise }),
          })
        row('made', made)
        row('received', received, what === 'burst' ? undefined : { least: made })
        row('lost and counted', counted)
        row('lost in silence', made - received - counted, { most: 0 })
      }
    }
    return rows
  },
}

async function deliver(processor: string, call: string, argument: object): Promise<Delivery> {
  const collector = new Child('./collector.ts', { latency: 100 })
  const url = await collector.call<string>('listen')
  const app = new Child('./delivery-app.ts', { processor, collector: url })
  try {
    const made = await app.call<number>(call, argument)
    const counted = await app.call<number>('finish')
    return { made, counted, received: await collector.call<number>('spans') }
  } finally {
    await app.stop()
    await collector.stop()
  }
}
