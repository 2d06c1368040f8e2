import http from 'node:http'
import { gunzipSync } from 'node:zlib'
import { metrics } from 'afterspan/metrics'
import { expect, onTestFinished, test, vi } from 'vitest'
import { formatFor, takesGzip } from '../../src/metrics/negotiate.ts'
import { serveMetrics } from './serving.ts'

test.each([
  [undefined, 'plain'],
  ['', 'plain'],
  ['*/*', 'plain'],
  ['text/html', 'plain'],
  ['application/openmetrics-text', 'openmetrics'],
  ['application/openmetrics-text; version=1.0.0', 'openmetrics'],
  ['application/openmetrics-text;version="1.0.0"', 'openmetrics'],
  ['application/openmetrics-text;version=2.0.0,text/plain;q=0.1', 'plain'],
  ['text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.9', 'plain'],
  // What Prometheus 3 sends.
  [
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
    'openmetrics',
  ],
  ['application/openmetrics-text;q=0', 'plain'],
  ['application/openmetrics-text;q=x, ;;=,,', 'plain'],
])('Accept: %s gives %s', (accept, format) => {
  expect(formatFor(accept)).toBe(format)
})

test('gzip is used where it is accepted and pays', async () => {
  expect([undefined, 'gzip', 'br, gzip;q=0.5', 'gzip;q=0', 'br'].map(takesGzip)).toEqual([
    false,
    true,
    true,
    false,
    false,
  ])
  const { meterProvider, get } = await serveMetrics()
  const small = await get({ 'accept-encoding': 'gzip' })
  for (let index = 0; index < 100; index++) meterProvider.getMeter('app').createCounter(`count.${index}`).add(1)
  const large = await get({ 'accept-encoding': 'gzip' })
  const plain = await get()
  expect(large.headers['content-encoding']).toBe('gzip')
  expect(large.body.length).toBeLessThan(plain.body.length / 4)
  expect(gunzipSync(large.body).toString()).toBe(plain.body.toString())
  expect(small.body.length === 0 || large.headers.vary === 'Accept, Accept-Encoding').toBe(true)
})

test('HEAD has the headers alone, other methods are refused, nothing is cached', async () => {
  const { get } = await serveMetrics()
  const head = await get({}, 'HEAD')
  expect([head.status, head.body.length, head.headers['cache-control']]).toEqual([200, 0, 'no-store'])
  expect(Number(head.headers['content-length'])).toBe((await get()).body.length)
  const post = await get({}, 'POST')
  expect([post.status, post.headers.allow]).toEqual([405, 'GET, HEAD'])
})

test('a callback that throws loses its own metric alone, and concurrent scrapes share one collection', async () => {
  const { meterProvider, get } = await serveMetrics()
  const meter = meterProvider.getMeter('app')
  let calls = 0
  meter.createObservableGauge('counted').addCallback(async (result) => {
    calls++
    await new Promise((resolve) => setTimeout(resolve, 50))
    result.observe(7)
  })
  meter.createObservableGauge('broken').addCallback(() => {
    throw new Error('no')
  })
  const answers = await Promise.all(Array.from({ length: 10 }, () => get()))
  for (const { status, body } of answers) {
    expect(status).toBe(200)
    expect(body.toString()).toContain('counted 7\n')
    expect(body.toString()).not.toContain('broken')
  }
  expect(calls).toBeLessThan(5)
})

test('a callback that hangs is left out, in time for the client that says when it hangs up', async () => {
  const { meterProvider, get } = await serveMetrics()
  const meter = meterProvider.getMeter('app')
  meter.createObservableGauge('hangs').addCallback(() => new Promise(() => {}))
  meter.createCounter('lives').add(1)
  const before = performance.now()
  const { status, body } = await get({ 'x-prometheus-scrape-timeout-seconds': '0.2' })
  expect(performance.now() - before).toBeLessThan(2_000)
  expect([status, body.toString().includes('lives_total 1\n')]).toEqual([200, true])
})

test('an app that answers before the metrics are collected, or a client that leaves, harms nothing', async () => {
  const collect = () =>
    new Promise((resolve) =>
      setTimeout(
        () => resolve({ resourceMetrics: { resource: { attributes: {} }, scopeMetrics: [] }, errors: [] }),
        400,
      ),
    )
  const handler = metrics({ reader: { collect } as never })
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  onTestFinished(() => void process.off('unhandledRejection', unhandled))
  const server = http.createServer((req, res) => {
    handler(req, res)
    if (req.url === '/late') res.writeHead(504).end('late')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const late = await fetch(`${url}/late`)
  expect([late.status, await late.text()]).toEqual([504, 'late'])
  await expect(fetch(url, { signal: AbortSignal.timeout(20) })).rejects.toThrow()
  expect((await fetch(url)).status).toBe(200)
  expect(unhandled).not.toHaveBeenCalled()
})

test('what cannot be written at all is a 500 that says why', async () => {
  const collect = async () => ({ resourceMetrics: {}, errors: [] })
  const server = http.createServer(metrics({ reader: { collect } as never }))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const response = await fetch(`http://127.0.0.1:${(server.address() as { port: number }).port}`)
  expect([response.status, await response.text()]).toEqual([500, expect.stringContaining('undefined')])
})

test('without a reader, or with one that was shut down, the answer says what to do', async () => {
  const { get, shutdown } = await serveMetrics()
  await shutdown()
  const { status, body } = await get()
  expect(status).toBe(503)
  expect(body.toString()).toContain('put metricReader() from afterspan/metrics into the metricReaders')
  Reflect.deleteProperty(globalThis, Symbol.for('afterspan.metric-reader'))
  const server = http.createServer(metrics()).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const response = await fetch(`http://127.0.0.1:${(server.address() as { port: number }).port}`)
  expect(response.status).toBe(503)
  expect(await response.text()).toContain('node --import afterspan/register')
  server.close()
})

test('wrong options are an error', () => {
  expect(() => metrics({ reader: {} as never })).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_OPTION' }))
  expect(() => metrics({ readers: [] } as never)).toThrow(/Unknown option/)
})
