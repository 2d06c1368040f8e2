import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeWith, type Jaeger, promtool, startJaeger, startPrometheus, tagsOf } from './harness/backends.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describeWith(['jaeger'], 'the harness around Jaeger', () => {
  let jaeger: Jaeger
  beforeAll(async () => {
    jaeger = await startJaeger()
  })
  afterAll(() => jaeger.stop())

  test('gives back the span that was sent to it, by id and by search', async () => {
    const now = BigInt(Date.now()) * 1_000_000n
    const span = {
      traceId: TRACE,
      spanId: SPAN,
      name: 'work',
      kind: 1,
      startTimeUnixNano: String(now),
      endTimeUnixNano: String(now + 5_000_000n),
      attributes: [{ key: 'task.name', value: { stringValue: 'mail' } }],
    }
    const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] }
    const response = await fetch(`${jaeger.otlpUrl}/v1/traces`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] }),
    })
    expect(response.status).toBe(200)
    const trace = await jaeger.waitForTrace(TRACE, ({ spans }) => spans.length === 1)
    expect(trace.spans[0]).toMatchObject({ operationName: 'work', spanID: SPAN, duration: 5_000 })
    expect(tagsOf(trace.spans[0]!.tags)).toMatchObject({ 'task.name': 'mail' })
    expect((await jaeger.traces({ service: 'shop', tags: { 'task.name': 'mail' } })).map((it) => it.traceID)).toEqual([
      TRACE,
    ])
    expect(await jaeger.traces({ service: 'shop', tags: { 'task.name': 'none' } })).toEqual([])
  })

  test('knows no trace that nobody sent, and says in vain what it waited for', async () => {
    expect(await jaeger.trace('1'.repeat(32))).toBeUndefined()
    await expect(jaeger.waitForTrace('1'.repeat(32), undefined, 100)).rejects.toThrow(/Jaeger has: nothing/)
  })

  test('leaves no process behind', async () => {
    const { pid } = jaeger
    expect(alive(pid)).toBe(true)
    await jaeger.stop()
    expect(alive(pid)).toBe(false)
  })
})

describeWith(['prometheus', 'promtool'], 'the harness around Prometheus', () => {
  test('scrapes what it is pointed at with its exemplars, and leaves neither a process nor files', async () => {
    const text = `# TYPE hits counter\nhits_total{page="a"} 7.0 # {trace_id="${TRACE}"} 1.0\n# EOF\n`
    const app = createServer((_request, response) => {
      response.setHeader('content-type', 'application/openmetrics-text; version=1.0.0; charset=utf-8').end(text)
    }).listen(0, '127.0.0.1')
    await once(app, 'listening')
    const directories = () => readdirSync(tmpdir()).filter((name) => name.startsWith('afterspan-prometheus-'))
    const before = directories()
    const start = Date.now() / 1000 - 5
    try {
      const url = `127.0.0.1:${(app.address() as AddressInfo).port}`
      const prometheus = await startPrometheus({ targets: [{ job: 'shop', url }] })
      const mine = directories().filter((name) => !before.includes(name))
      try {
        await prometheus.waitForUp()
        expect(await prometheus.query('hits_total')).toEqual([
          { labels: { __name__: 'hits_total', instance: url, job: 'shop', page: 'a' }, value: 7 },
        ])
        const series = await prometheus.queryExemplars('hits_total', start, new Date(Date.now() + 5_000))
        expect(series.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels.trace_id))).toEqual([TRACE])
      } finally {
        await prometheus.stop()
      }
      expect(alive(prometheus.pid)).toBe(false)
      expect(mine.filter((name) => existsSync(`${tmpdir()}/${name}`))).toEqual([])
    } finally {
      app.close()
    }
  })

  test('promtool gives its verdict', () => {
    const text = '# HELP hits_total Hits.\n# TYPE hits_total counter\nhits_total 1\n'
    expect(promtool(['check', 'metrics'], text)).toBe('')
    expect(() => promtool(['check', 'metrics'], '# TYPE hits counter\nhits 1\n')).toThrow(/_total/)
  })
})
