/** The clients, in a process of their own: they ask at a steady rate, whether the requests before are answered or not. */

import http from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { quantile } from '../../bench/report.ts'
import { PINGS_PER_SECOND, TASKS_PER_SECOND } from './cells.ts'
import { serve } from './part.ts'

/** Latency of `/ping`, ms. */
export interface Pings {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** More than are busy at once where the app answers within 100 ms. */
const CONNECTIONS = 32
let agent: http.Agent | undefined

let pinging = false
let pings: Promise<number[]> | undefined

serve({
  /** Pings alone. */
  async idle({ url, seconds }: { url: string; seconds: number }): Promise<Pings> {
    agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS })
    // Node accepts one connection per turn of its event loop: those that are opened while tasks hold it would wait for many
    // turns, and the worst latencies would be theirs.
    await Promise.all(Array.from({ length: CONNECTIONS }, () => request('GET', `${url}/ping`)))
    const until = performance.now() + seconds * 1000
    return pingsOf(await steadily(PINGS_PER_SECOND, 'GET', `${url}/ping`, () => performance.now() < until))
  },

  /** Pings, and asks for `count` tasks; resolves when they are accepted, and goes on to ping. */
  async ask({ url, count }: { url: string; count: number }): Promise<void> {
    pinging = true
    pings = steadily(PINGS_PER_SECOND, 'GET', `${url}/ping`, () => pinging)
    // What is wrong with them is told by `stop`.
    pings.catch(() => {})
    await steadily(TASKS_PER_SECOND, 'POST', `${url}/tasks`, (sent) => sent < count)
  },

  async stop(): Promise<Pings> {
    pinging = false
    const all = pingsOf(await pings!)
    agent?.destroy()
    return all
  },
})

/** @returns The latency of each, ms. */
async function steadily(rate: number, method: string, url: string, goOn: (sent: number) => boolean): Promise<number[]> {
  const answers: Promise<number>[] = []
  const started = performance.now()
  while (goOn(answers.length)) {
    const due = Math.floor(((performance.now() - started) * rate) / 1000)
    while (answers.length < due && goOn(answers.length)) {
      const answer = request(method, url)
      // The first that is rejected is thrown below; until then it is nobody's.
      answer.catch(() => {})
      answers.push(answer)
    }
    await setTimeout(1)
  }
  return Promise.all(answers)
}

function request(method: string, url: string): Promise<number> {
  const asked = performance.now()
  return new Promise((resolve, reject) => {
    http
      .request(url, { method, agent }, (res) => {
        res.resume()
        res.once('end', () => {
          if (res.statusCode! < 300) resolve(performance.now() - asked)
          else reject(new Error(`${method} was answered with ${res.statusCode}.`))
        })
      })
      .once('error', reject)
      .end()
  })
}

function pingsOf(latencies: number[]): Pings {
  const sorted = latencies.toSorted((a, b) => a - b)
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: sorted.at(-1) ?? Number.NaN }
}
