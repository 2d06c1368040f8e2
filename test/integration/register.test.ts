import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { App, Collector, get, project } from './register-harness.ts'

let collector: Collector
const apps: App[] = []

beforeEach(async () => {
  collector = await Collector.start()
})
afterEach(async () => {
  for (const app of apps.splice(0)) app.child.kill('SIGKILL')
  await collector.stop()
})

function start(...parameters: ConstructorParameters<typeof App>): App {
  const app = new App(...parameters)
  apps.push(app)
  return app
}

const to = (target: Collector) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: target.endpoint, OTEL_SERVICE_NAME: 'shop' })

const ROUTES = [
  ['/api/v1/users/7', '/api/v1/users/:id'],
  ['/api/v1/users/7/fail', '/api/v1/users/:id/fail'],
  ['/admin/things/9', '/admin/things/:thing'],
  ['/plain', '/plain'],
] as const

describe.each([
  ['express', 'mjs', '--import'],
  ['express', 'cjs', '--import'],
  ['express', 'cjs', '--require'],
  ['express4', 'mjs', '--import'],
  ['express4', 'cjs', '--import'],
] as const)('%s, an app in .%s, %s', (express, format, flag) => {
  test('gives each SERVER span its route with all mount paths, and no spans of layers; nothing else is pushed or said', async () => {
    const app = start(`${project(express)}/register-app.${format}`, {
      env: to(collector),
      node: [flag, 'afterspan/register'],
    })
    const { port } = await app.message()
    for (const [path] of ROUTES) await get(port, path)
    expect(await get(port, '/nowhere')).toBe(404)
    expect(await app.end()).toEqual({ code: null, signal: 'SIGTERM' })

    const seen = collector
      .serverSpans()
      .map((span) => [span.attributes['url.path'], span.attributes['http.route'], span.name])
    expect(seen).toEqual([
      ...ROUTES.map(([path, route]) => [path, route, `GET ${route}`]),
      ['/nowhere', undefined, 'GET'],
    ])
    expect(collector.spans).toHaveLength(ROUTES.length + 1)
    expect([...collector.paths]).toEqual(['/v1/traces'])
    expect(app.stderr).toBe('')
  })
})

test('AFTERSPAN_EXPRESS_LAYERS=true gives a span to each layer, and the routes stay right', async () => {
  const env = { ...to(collector), AFTERSPAN_EXPRESS_LAYERS: 'true' }
  const app = start(`${project('express')}/register-app.mjs`, { env })
  const { port } = await app.message()
  await get(port, '/api/v1/users/7')
  await app.end()
  const names = collector.spans.map((span) => span.name)
  expect(names).toContain('middleware - checkUser')
  expect(names.filter((name) => name.startsWith('request handler'))).toHaveLength(1)
  expect(names).toContain('GET /api/v1/users/:id')
})
