/** An app that does 1,000 tasks a second of 100 names, each asked for by a request, without the dashboard or with it mounted. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { context, SpanKind, trace } from '@opentelemetry/api'
import { createTasks } from 'afterspan'
import { dashboard } from 'afterspan/dashboard'
import { RecentSpans } from 'afterspan/sdk'
import { argument, collectGarbage, processCpu, serve } from './child.ts'
import { discardingProcessor, startSdk } from './telemetry.ts'

export interface DashboardPart {
  readonly mounted: boolean
}

const NAMES = 100
/** How often tasks are deferred, ms. */
const BEAT = 10

const { mounted } = argument<DashboardPart>()
startSdk(mounted ? new RecentSpans() : discardingProcessor, false)
const tracer = trace.getTracer('app')
const tasks = createTasks({ shutdown: false, logger: { info() {}, warn() {}, error() {} } })
const failure = new TypeError('no such address')
const defined = Array.from({ length: NAMES }, (_, name) =>
  tasks.define(`task-${name}`, async (order: { readonly n: number }) => {
    await new Promise((resolve) => setImmediate(resolve))
    if (order.n % 97 === 0) throw failure
  }),
)
const page = mounted ? dashboard(tasks, { authorize: () => true, actions: true }) : undefined
let n = 0

/** One request, as the HTTP instrumentation traces it. */
function request(): void {
  const attributes = {
    'http.request.method': 'POST',
    'http.route': '/orders',
    'url.path': '/orders',
    'server.port': 3000,
  }
  const span = tracer.startSpan('POST /orders', { kind: SpanKind.SERVER, attributes })
  const task = defined[n % NAMES]!
  context.with(trace.setSpan(context.active(), span), () => void task.defer({ n: n++ }))
  span.end()
}

serve({
  listen: () =>
    new Promise<number>((resolve) => {
      const server = createServer((req, res) => page?.(req, res))
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
    }),
  /** CPU of the process, garbage collection included, as a share of one core. */
  async load({ seconds, rate }: { seconds: number; rate: number }) {
    collectGarbage()
    const before = processCpu()
    const begun = performance.now()
    let asked = 0
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        const elapsed = performance.now() - begun
        for (const due = (elapsed / 1_000) * rate; asked < due; asked++) request()
        if (elapsed < seconds * 1_000) return
        clearInterval(timer)
        resolve()
      }, BEAT)
    })
    while (tasks.ledger().states.running > 0) await new Promise((resolve) => setImmediate(resolve))
    return (processCpu() - before) / 1_000 / (performance.now() - begun)
  },
  /** Heap and array buffers in use, MB. */
  memory() {
    for (let round = 0; round < 3; round++) collectGarbage()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return (heapUsed + arrayBuffers) / 1e6
  },
})
