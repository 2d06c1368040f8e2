import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import { RecentSpans } from 'afterspan/sdk'
import { ControlledClock } from 'afterspan/testing'
import { expect, test } from 'vitest'
import { KeptPayloads } from '../../src/background/kept-payloads.ts'
import { type CountedJob, Figures } from '../../src/stats/figures.ts'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** Heap and array buffers that are in use, bytes. */
function used(): number {
  for (let round = 0; round < 3; round++) gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Between 0 and 1, always the same. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const MB = 1_000_000

test('all that is kept at 1,000 tasks a second of 100 names is below 30 MB: an hour, the spans, the payloads', {
  timeout: 120_000,
}, async () => {
  const clock = new ControlledClock()
  let now = 1_000
  clock.now = () => now
  const next = random(7)
  /** Durations spread by a factor of a thousand, as those of real tasks do. */
  const logNormal = (median: number) =>
    median * Math.exp(1.2 * Math.sqrt(-2 * Math.log(next() || 1)) * Math.cos(2 * Math.PI * next()))
  const run = (figures: Figures, seconds: number, perSecond = 1_000) => {
    const errors = ['TypeError', 'FetchError', 'TimeoutError'].map((name) =>
      Object.assign(new Error(`${name} of a task`), { name }),
    )
    for (let task = 0; task < seconds * perSecond; task++) {
      now += 1_000 / perSecond
      const error = errors[task % 97]
      const job = {
        label: `task-${task % 100}`,
        id: `0123456789ab-${task.toString(36)}`,
        attempt: 1,
        wait: logNormal(2),
        origin: { route: '/orders/:id', endedAt: now - logNormal(60), spanContext: undefined, method: 'POST' },
        traceId: task.toString(16).padStart(32, '0'),
        error,
        deferredAt: now,
        queue: undefined,
      } satisfies CountedJob
      figures.deferred(job)
      figures.entered(job, 'ready', undefined)
      figures.entered(job, 'running', 'ready')
      figures.attemptStarted(job)
      figures.attemptEnded(job, {
        result: error === undefined ? 'ok' : 'error',
        error,
        duration: logNormal(40),
        zombie: false,
      })
      figures.finished(job, error === undefined ? 'completed' : 'failed', 'running')
    }
  }
  // What is there without the page: the figures of `health`.
  const plain = new Figures(clock)
  run(plain, 20)
  const before = used()
  const figures = new Figures(clock)
  run(figures, 20)
  const health = used() - before
  figures.keepHistory()
  // At the full rate for as long as fills the parts of 15 seconds; before, fewer are enough for as many different durations.
  run(figures, 2_800, 250)
  run(figures, 1_000)
  const history = used() - before - health
  expect(figures.history('task-42')!.chart(now, true).parts[30]!.counts.completed).toBeGreaterThan(100)

  const spans = new RecentSpans()
  spans.start()
  const tracer = new TracerProvider({ spanProcessors: [spans] }).getTracer('app')
  const beforeSpans = used()
  for (let request = 0; request < 20_000; request++) {
    const attributes = {
      'http.route': '/orders/:id',
      'http.request.method': 'POST',
      'url.path': `/orders/${request}`,
      'server.address': 'localhost',
    }
    const server = tracer.startSpan('POST /orders/:id', { kind: SpanKind.SERVER, attributes })
    const own = {
      'task.name': 'mail',
      'task.id': `0123-${request}`,
      'task.priority': 'medium',
      'task.attempt': 1,
      'task.wait': 0.001,
      'task.result': 'ok',
    }
    const task = tracer.startSpan('task mail', { attributes: own }, trace.setSpan(ROOT_CONTEXT, server))
    server.end()
    if (request % 10 === 0) {
      task.recordException(new Error(`failed ${request}`))
      task.setStatus({ code: SpanStatusCode.ERROR, message: `failed ${request}` })
    }
    task.end()
  }
  const recent = used() - beforeSpans
  const told = spans.kept()
  expect(told.bytes).toBeLessThanOrEqual(told.limit)

  const beforePayloads = used()
  const kept = new KeptPayloads()
  for (let failed = 0; failed < 100_000; failed++) {
    kept.add({
      id: `${failed}`,
      payload: { order: failed, lines: Array.from({ length: 20 }, (_, line) => ({ line, text: `${failed} ${line}` })) },
    })
  }
  const payloads = used() - beforePayloads
  const figuresOf = (bytes: number) => `${(bytes / MB).toFixed(1)} MB`
  console.log(
    `kept: history ${figuresOf(history)}, spans ${figuresOf(recent)} (told ${figuresOf(told.bytes)}, ${told.spans} spans), payloads ${figuresOf(payloads)} (told ${figuresOf(kept.bytes)})`,
  )
  expect(history + recent + payloads).toBeLessThan(30 * MB)
  // What the page says of itself is about right.
  expect(recent / told.bytes).toBeLessThan(1.25)
  expect(payloads / kept.bytes).toBeLessThan(1.5)
  // They have been there all the time.
  for (const kept of [plain, figures]) expect(kept.read(new Map(), new Map()).tasks).toHaveLength(100)
  expect(tracer).toBeDefined()
  await spans.shutdown()
})
