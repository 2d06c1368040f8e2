/** The load generator of the HTTP benchmarks, in a process of its own: 32 connections, each asking again when it is answered, or a steady rate. */

import { Agent, get } from 'node:http'
import { createRequire } from 'node:module'
import { setTimeout } from 'node:timers/promises'
import { serve } from './child.ts'
import { quantile } from './report.ts'

export interface Load {
  /** Requests per second. */
  readonly rate: number
  /** Latency, ms. */
  readonly p50: number
  readonly p99: number
}

interface Instance extends PromiseLike<{ errors: number; timeouts: number; non2xx: number }> {
  on(event: 'response', listener: (client: unknown, status: number, bytes: number, milliseconds: number) => void): void
}

const autocannon = createRequire(import.meta.url)('autocannon') as (options: object) => Instance

/** From the latencies of all requests, ms. */
function loadOf(latencies: number[], milliseconds: number): Load {
  const sorted = Float64Array.from(latencies).sort()
  return { rate: (latencies.length / milliseconds) * 1000, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) }
}

serve({
  /** As many requests as are answered. */
  async run({ url, seconds }: { url: string; seconds: number }): Promise<Load> {
    const latencies: number[] = []
    let first = 0
    let last = 0
    const instance = autocannon({ url: `${url}/orders/1`, connections: 32, duration: seconds })
    instance.on('response', (_client, _status, _bytes, milliseconds) => {
      last = performance.now()
      if (latencies.length === 0) first = last
      latencies.push(milliseconds)
    })
    const { errors, timeouts, non2xx } = await instance
    if (errors + timeouts + non2xx > 0) throw new Error(`${errors} errors, ${timeouts} timeouts, ${non2xx} not 2xx`)
    return loadOf(latencies, last - first)
  },

  /** So many requests a second, one after the other, whether the ones before are answered or not: autocannon sends bursts. */
  async steady({ url, seconds, rate }: { url: string; seconds: number; rate: number }): Promise<Load> {
    const agent = new Agent({ keepAlive: true, maxSockets: 32 })
    const answers: Promise<number>[] = []
    const started = performance.now()
    for (let sent = 0; sent < rate * seconds; ) {
      const due = Math.floor(((performance.now() - started) * rate) / 1000)
      for (; sent < due; sent++) answers.push(ask(`${url}/orders/1`, agent))
      await setTimeout(1)
    }
    const latencies = await Promise.all(answers)
    agent.destroy()
    return loadOf(latencies, performance.now() - started)
  },
})

/** The latency of one request, ms. */
function ask(url: string, agent: Agent): Promise<number> {
  const asked = performance.now()
  return new Promise((resolve, reject) => {
    get(url, { agent }, (res) => {
      res.resume()
      res.once('end', () => resolve(performance.now() - asked))
    }).once('error', reject)
  })
}
