import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { metrics } from 'afterspan/metrics'
import { expect, onTestFinished, test } from 'vitest'
import { serialize } from '../../src/metrics/serialize.ts'
import { ExemplarStore } from '../../src/telemetry/exemplars.ts'
import { collected, explicit } from './collected.ts'
import { OPENMETRICS, serveMetrics } from './serving.ts'

const samples = (body: Buffer | string) =>
  body
    .toString()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('target_info'))

test.each([
  ['a number as description', () => ['x', { description: 5 }], 'x_total 1'],
  ['a number as unit', () => ['x', { unit: 5 }], 'x_5_total 1'],
  ['a number as name', () => [5, {}], '_5_total 1'],
  ['an object as description and unit', () => ['x', { description: {}, unit: {} }], 'x_total 1'],
])('an instrument with %s costs no other its place', async (_, given, expected) => {
  const { meterProvider, get } = await serveMetrics()
  const meter = meterProvider.getMeter('app')
  meter.createCounter('lives').add(1)
  const [name, options] = given() as [never, never]
  meter.createCounter(name, options).add(1)
  const { status, body } = await get(OPENMETRICS)
  expect([status, samples(body)]).toEqual([200, ['lives_total 1', expected]])
})

test('an instrument whose name is a symbol, and has a name that is taken, costs no other its place', () => {
  const point = { attributes: {}, value: 1 }
  const text = serialize(
    collected({
      scope: Symbol('scope') as never,
      metrics: [
        { name: Symbol('a') as never, type: 'sum', monotonic: true, points: [point] },
        { name: Symbol('a') as never, type: 'gauge', points: [point] },
        { name: 'lives', type: 'gauge', points: [point] },
      ],
    }),
    { format: 'plain', exemplars: new ExemplarStore() },
  )
  expect(samples(text)).toEqual(['Symbol_a_total 1', 'lives 1'])
})

test.each([
  ['twice', [1, 1, 2], [1, 0, 2, 3], ['le="1.0"} 1', 'le="2.0"} 3', 'le="+Inf"} 6']],
  ['as NaN', [Number.NaN, 2], [1, 2, 3], ['le="2.0"} 3', 'le="+Inf"} 6']],
  ['as 0 and -0', [0, -0], [1, 2, 3], ['le="0.0"} 3', 'le="+Inf"} 6']],
  ['as Infinity', [1, Number.POSITIVE_INFINITY], [1, 2, 3], ['le="1.0"} 1', 'le="+Inf"} 6']],
])('a histogram that was given a bound %s has each bucket once', (_, bounds, counts, expected) => {
  const points = [{ attributes: {}, value: explicit(bounds, counts, 9) }]
  const text = serialize(collected({ scope: 'app', metrics: [{ name: 'h', type: 'histogram', points }] }), {
    format: 'openmetrics',
    exemplars: new ExemplarStore(),
  })
  expect(samples(text).filter((line) => line.includes('_bucket'))).toEqual(expected.map((rest) => `h_bucket{${rest}`))
})

test('what the app said its answers vary by is kept', async () => {
  await serveMetrics().then(({ get }) => get())
  const serve = metrics()
  const server = http.createServer((req, res) => serve(req, res.setHeader('Vary', 'Origin')))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  expect([response.status, response.headers.get('vary')]).toEqual([200, 'Origin, Accept, Accept-Encoding'])
})

test('a small answer is not compressed', async () => {
  const { get } = await serveMetrics()
  const { headers, body } = await get({ 'accept-encoding': 'gzip' })
  expect([headers['content-encoding'], body.length < 1_024]).toEqual([undefined, true])
})
