import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { describeWith, type Jaeger, type JaegerTrace, startJaeger, tagsOf, until } from './harness/backends.ts'
import { App } from './register-harness.ts'

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))

describeWith(['jaeger'], 'tail sampling of an Express app, in real Jaeger', () => {
  let jaeger: Jaeger
  let app: App
  let port: number
  beforeAll(async () => {
    jaeger = await startJaeger()
  })
  afterEach(() => app.child.kill('SIGKILL'))
  afterAll(() => jaeger?.stop())

  async function start(service: string, env: Record<string, string>, node?: readonly string[]): Promise<void> {
    app = new App(fixture('tail-sampling-app.mjs'), {
      env: { OTEL_SERVICE_NAME: service, OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpUrl, ...env },
      ...(node !== undefined && { node }),
    })
    port = (await app.message()).port
  }

  async function request(kind: string, times: number, atOnce = 20): Promise<void> {
    for (let sent = 0; sent < times; sent += atOnce) {
      const responses = await Promise.all(
        Array.from({ length: Math.min(atOnce, times - sent) }, () => fetch(`http://127.0.0.1:${port}/${kind}`)),
      )
      for (const response of responses) {
        expect(response.status).toBe(202)
        await response.arrayBuffer()
      }
    }
  }

  async function metric(name: string): Promise<Record<string, number>> {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    const lines = [...text.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, 'gm'))]
    return Object.fromEntries(lines.map(([, labels, value]) => [labels!, Number(value)]))
  }
  const sampled = async () => {
    const values = await metric('afterspan_telemetry_sampled_total')
    const reasonOf = (labels: string) => /reason="(\w+)"/.exec(labels)![1]!
    return Object.fromEntries(Object.entries(values).map(([labels, value]) => [reasonOf(labels), value]))
  }
  const ended = async () => {
    const values = await metric('afterspan_task_finished_total')
    return Object.values(values).reduce((sum, value) => sum + value, 0)
  }
  const spansOf = ({ spans }: JaegerTrace) => spans.map(({ operationName }) => operationName).sort()

  test('what failed, was tried again, was slow or asked for is there whole; the rest is not; and the counts say so', async () => {
    const service = 'kept'
    await start(service, { AFTERSPAN_TAIL_SAMPLING: '0' })
    const kinds = ['plain', 'fails', 'flaky', 'later', 'later-fails', 'slow', 'asked'] as const
    await Promise.all(kinds.map((kind) => request(kind, 10)))
    await until('all tasks to end', 10_000, async () => ((await ended()) === 70 ? true : undefined))
    // `later-fails` has two traces, which are linked and have one verdict.
    const counts = { error: 10 + 10 + 10, slow: 10, asked: 10 }
    await until('all verdicts', 5_000, async () => {
      const { error, slow, asked, retried = 0, rest = 0, share = 0 } = await sampled()
      // Scrapes are traces as well.
      return error === counts.error && slow === counts.slow && asked === counts.asked && rest >= 20
        ? (expect([retried, share]).toEqual([0, 0]) ?? true)
        : undefined
    })
    expect((await app.end()).signal).toBe('SIGTERM')

    const traces = await until('the traces in Jaeger', 15_000, async () => {
      const all = await jaeger.traces({ service })
      // 10 each of fails, flaky, slow and asked, and two for each of later-fails.
      return all.length >= 60 ? all : undefined
    })
    const byKind = Map.groupBy(traces, (trace) => {
      const task = trace.spans.map(({ tags }) => tagsOf(tags)['task.name']).find((name) => name !== undefined)
      const server = trace.spans.find(({ operationName }) => operationName.startsWith('GET '))
      return `${task}${server === undefined ? ' alone' : ''}`
    })
    expect(Object.fromEntries([...byKind].map(([kind, { length }]) => [kind, length]))).toEqual({
      fails: 10,
      flaky: 10,
      'later-fails': 10,
      'later-fails alone': 10,
      // Those of `slow` and `asked`; none of `plain` and `later`.
      plain: 20,
    })
    for (const trace of byKind.get('fails')!) expect(spansOf(trace)).toEqual(['GET /:kind', 'task fails'])
    for (const trace of byKind.get('flaky')!) {
      expect(spansOf(trace)).toEqual(['GET /:kind', 'task flaky', 'task flaky', 'task flaky'])
    }
    for (const trace of byKind.get('later-fails')!) expect(spansOf(trace)).toEqual(['GET /:kind', 'defer later-fails'])
    for (const trace of byKind.get('later-fails alone')!) expect(spansOf(trace)).toEqual(['task later-fails'])
    for (const trace of byKind.get('plain')!) expect(spansOf(trace)).toEqual(['GET /:kind', 'task plain'])
    expect(app.stderr).toBe('')
  })

  test('of the rest a share is kept, also of linked traces both or none, as many as are counted', async () => {
    const service = 'shared'
    await start(service, { AFTERSPAN_TAIL_SAMPLING: '0.3' })
    await Promise.all([request('plain', 200), request('later', 100)])
    const share = await until('all verdicts', 10_000, async () => {
      const { share = 0, rest = 0 } = await sampled()
      return (await ended()) === 300 && share + rest >= 300 ? share : undefined
    })
    // Scrapes of /metrics have their share too.
    const scrapes = (all: readonly JaegerTrace[]) =>
      all.filter(({ spans }) => spans.some(({ operationName }) => operationName === 'GET /metrics')).length
    expect((await app.end()).signal).toBe('SIGTERM')
    const isOf = (trace: JaegerTrace, task: string) =>
      trace.spans.some(({ operationName }) => operationName.endsWith(` ${task}`))
    const traces = await until('the traces in Jaeger', 15_000, async () => {
      const all = await jaeger.traces({ service })
      return all.length >= share ? all : undefined
    })
    const plain = traces.filter((trace) => isOf(trace, 'plain'))
    const later = traces.filter((trace) => isOf(trace, 'later'))
    for (const trace of plain) expect(spansOf(trace)).toEqual(['GET /:kind', 'task plain'])
    // Each of them is two traces.
    const asking = later.filter(({ spans }) => spans.length === 2)
    const attempts = later.filter(({ spans }) => spans.length === 1)
    expect(asking.length + attempts.length).toBe(later.length)
    const linked = new Set(
      attempts.map(({ spans }) => spans[0]!.references.find(({ refType }) => refType === 'FOLLOWS_FROM')!.traceID),
    )
    expect([...linked].sort()).toEqual(asking.map(({ traceID }) => traceID).sort())
    // 300 draws of 0.3: 90 ± 5 standard deviations.
    const kept = plain.length + asking.length
    expect(kept).toBeGreaterThan(50)
    expect(kept).toBeLessThan(130)
    expect(traces.length - attempts.length - scrapes(traces)).toBe(kept)
    expect(kept).toBeLessThanOrEqual(share)
    expect(kept).toBeGreaterThanOrEqual(share - scrapes(traces))
  })

  test('10,000 open traces: what does not fit is decided early and counted, and memory stays bounded', async () => {
    const service = 'open'
    await start(service, {}, ['--import', fixture('tail-sampling-small.mjs')])
    await request('plain', 500)
    const memory = async () =>
      (await (await fetch(`http://127.0.0.1:${port}/memory`)).json()) as { rss: number; ledger: { deferred: number } }
    const before = await memory()
    await request('waits', 10_000, 100)
    const after = await memory()
    expect(after.ledger.deferred).toBe(10_500)
    const { evicted, error = 0 } = await sampled()
    // Each has two spans that have ended, that of the request and `defer`, and 4,000 are held.
    expect(evicted).toBeGreaterThanOrEqual(8_000)
    expect(evicted).toBeLessThan(8_100)
    expect(error).toBe(0)
    // Of that, 10,000 waiting tasks with their open spans.
    expect(after.rss - before.rss).toBeLessThan(250e6)
    await request('fails', 5)
    expect((await app.end()).signal).toBe('SIGTERM')
    const failed = await until('the failures in Jaeger', 15_000, async () => {
      const traces = await jaeger.traces({ service, operation: 'task fails' })
      return traces.length === 5 ? traces : undefined
    })
    for (const trace of failed) expect(spansOf(trace)).toEqual(['GET /:kind', 'task fails'])
  }, 120_000)
})
