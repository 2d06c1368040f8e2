import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { App, Collector, freePort, get, project, root } from './register-harness.ts'

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
    if (flag === '--require' && !loadsHooksInThread())
      expect(app.stderr).toMatch(/^afterspan: with --require, [^\n]*\n$/)
    else expect(app.stderr).toBe('')
  })
})

/** Older Nodes load import hooks in a thread of their own, where `--require` cannot register them; that is said. */
function loadsHooksInThread(): boolean {
  const [major = 0, minor = 0, patch = 0] = process.versions.node.split('.').map(Number)
  if (major === 22) return minor > 22 || (minor === 22 && patch >= 3)
  if (major === 24) return minor > 11 || (minor === 11 && patch >= 1)
  return major >= 25
}

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

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/register-${name}`, import.meta.url))

describe('an app with a set-up of its own', () => {
  test('keeps it where it is loaded first; that is said once', async () => {
    const node = ['--import', fixture('over.mjs'), '--import', 'afterspan/register']
    const app = start(fixture('over-app.mjs'), { env: to(collector), node })
    const { spans } = await app.message<{ spans: string[] }>()
    await app.exited
    expect(spans).toEqual(['before', 'in handler'])
    expect(collector.spans).toEqual([])
    expect(app.stderr.trim().split('\n')).toHaveLength(1)
    expect(app.stderr).toContain('registered already')
  })

  test('takes over where it is loaded later: tracers made before follow, nothing is recorded twice; that is said once', async () => {
    const app = start(fixture('over-app.mjs'), { env: to(collector) })
    const { spans } = await app.message<{ spans: string[] }>()
    await app.exited
    expect(spans).toEqual(['in handler', 'GET'])
    expect(collector.spans.map((span) => span.name)).toEqual(['before'])
    expect(app.stderr.trim().split('\n')).toHaveLength(1)
    expect(app.stderr).toContain('of its own after afterspan/register')
  })
})

test('OTEL_SDK_DISABLED=true sets nothing up and says nothing', async () => {
  const env = { ...to(collector), OTEL_SDK_DISABLED: 'true', COUNT: '10' }
  const app = start(fixture('spans.mjs'), { env })
  await app.exited
  expect(collector.spans).toEqual([])
  expect(app.stderr).toBe('')
})

describe('spans', () => {
  const lost = (app: App) => app.message<{ lost: Record<string, number> }>().then((message) => message.lost)

  test('of a process that ends by itself arrive, and its exit code stays', async () => {
    const app = start(fixture('spans.mjs'), { env: { ...to(collector), COUNT: '10' } })
    expect((await app.exited).code).toBe(3)
    expect(collector.spans).toHaveLength(10)
  })

  test('at 3,000 a second all reach a collector that answers in 100 ms', async () => {
    await collector.stop()
    collector = await Collector.start(100)
    const app = start(fixture('spans.mjs'), { env: { ...to(collector), COUNT: '12000', RATE: '3000' } })
    expect(await lost(app)).toEqual({ queue_full: 0, export_failed: 0, shutdown: 0 })
    await app.exited
    expect(new Set(collector.spans.map((span) => span.spanId)).size).toBe(12_000)
    expect(app.stderr).toBe('')
  })

  test('200,000 in one turn arrive', async () => {
    await collector.stop()
    collector = await Collector.start(100)
    const app = start(fixture('spans.mjs'), { env: { ...to(collector), COUNT: '200000' } })
    expect(await lost(app)).toEqual({ queue_full: 0, export_failed: 0, shutdown: 0 })
    await app.exited
    expect(collector.spans).toHaveLength(200_000)
    expect(app.stderr).toBe('')
  })

  test('beyond the queue are counted and said once: arrived and lost are all there were', async () => {
    const env = { ...to(collector), COUNT: '200000', OTEL_BSP_MAX_QUEUE_SIZE: '20000' }
    const app = start(fixture('spans.mjs'), { env })
    const counted = await lost(app)
    await app.exited
    expect(counted).toEqual({ queue_full: 180_000, export_failed: 0, shutdown: 0 })
    expect(collector.spans).toHaveLength(20_000)
    expect(app.stderr.trim().split('\n')).toHaveLength(1)
  })
})

describe('a collector that cannot be reached', () => {
  test('is named in one line, once, and the app serves on', async () => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
      OTEL_EXPORTER_OTLP_TIMEOUT: '1500',
      OTEL_BSP_SCHEDULE_DELAY: '100',
    }
    const app = start(`${project('express')}/register-app.mjs`, { env })
    const { port } = await app.message()
    const until = performance.now() + 6_000
    while (performance.now() < until) {
      expect(await get(port, '/plain')).toBe(200)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const lines = app.stderr.trim().split('\n')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('http://127.0.0.1:9 ')
    expect(lines[0]).toContain('ECONNREFUSED')
    expect(await app.end()).toEqual({ code: null, signal: 'SIGTERM' })
    expect(app.stderr.trim().split('\n')).toEqual(lines)
  })

  test('is named in one line also where the process ends before the exporter has given up, and does not hold up its end', async () => {
    const app = start(`${project('express')}/register-app.mjs`, {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' },
    })
    const { port } = await app.message()
    expect(await get(port, '/plain')).toBe(200)
    const asked = performance.now()
    expect(await app.end()).toEqual({ code: null, signal: 'SIGTERM' })
    // The exporter's own retries take more than five seconds.
    expect(performance.now() - asked).toBeLessThan(3_000)
    expect(app.stderr).toMatch(/^afterspan: spans do not reach http:\/\/127\.0\.0\.1:9 \(connect ECONNREFUSED[^\n]*\n$/)
  })

  test('or that accepts and never answers costs the end of the process a few seconds at most, and is said', async () => {
    await collector.stop()
    collector = await Collector.start(1e9)
    const app = start(`${project('express')}/register-app.mjs`, { env: to(collector) })
    const { port } = await app.message()
    expect(await get(port, '/plain')).toBe(200)
    const asked = performance.now()
    expect((await app.end()).signal).toBe('SIGTERM')
    expect(performance.now() - asked).toBeLessThan(6_500)
    expect(app.stderr).toMatch(/^afterspan: 1 span was not sent[^\n]*\n$/)
  })
})

test('a signal that the app listens to is left to it', async () => {
  const app = start(fixture('signal.mjs'), { env: to(collector) })
  await app.message()
  expect(await app.end()).toEqual({ code: 7, signal: null })
  expect(collector.spans).toHaveLength(1)
  expect(app.stderr).toBe('')
})

test('process.exit with spans in the buffer says how many were not sent', async () => {
  const app = start(fixture('signal.mjs'), { env: { ...to(collector), AT_ONCE: 'true' } })
  await app.message()
  expect(await app.end()).toEqual({ code: 7, signal: null })
  expect(app.stderr).toContain('1 span was not sent')
})

test('a package that is missing is named with the command that installs it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'afterspan-peers-'))
  try {
    const modules = join(directory, 'node_modules')
    cpSync(join(root, 'dist'), join(modules, 'afterspan/dist'), { recursive: true })
    cpSync(join(root, 'package.json'), join(modules, 'afterspan/package.json'))
    cpSync(join(root, 'node_modules/@opentelemetry/api'), join(modules, '@opentelemetry/api'), {
      recursive: true,
      dereference: true,
    })
    const app = start(fixture('signal.mjs'), { cwd: directory })
    expect((await app.exited).code).toBe(1)
    expect(app.stderr).toContain('ERR_AFTERSPAN_MISSING_PEER')
    expect(app.stderr).toMatch(/Run: npm install @opentelemetry\/sdk-node @opentelemetry\/exporter-trace-otlp-http/)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

describe('OTEL_EXPORTER_PROMETHEUS_PORT', () => {
  test('serves the metrics on that port, for which the process does not stay alive', async () => {
    const port = await freePort()
    const env = {
      ...to(collector),
      OTEL_EXPORTER_PROMETHEUS_PORT: String(port),
      OTEL_EXPORTER_PROMETHEUS_HOST: '127.0.0.1',
    }
    const app = start(`${project('express')}/register-app.mjs`, { env })
    await get((await app.message()).port, '/api/v1/users/7')
    const response = await fetch(`http://127.0.0.1:${port}/metrics`)
    expect(response.status).toBe(200)
    const text = await response.text()
    expect(text).toMatch(/^http_server_request_duration\S*_count\{.*http_route="\/api\/v1\/users\/:id".*\} 1$/m)
    // More than Node alone, in bytes.
    expect(Number(/^process_memory_usage_bytes(?:\{.*\})? (\d+)$/m.exec(text)?.[1])).toBeGreaterThan(30e6)
    expect(await get(port, '/other')).toBe(404)
    expect((await app.end()).signal).toBe('SIGTERM')
    expect(app.stderr).toBe('')

    const short = start(fixture('spans.mjs'), { env: { ...env, COUNT: '1' } })
    expect((await short.exited).code).toBe(3)
  })

  test('that is taken is said in one line, and the app goes on', async () => {
    const env = {
      ...to(collector),
      OTEL_EXPORTER_PROMETHEUS_PORT: String(collector.port),
      OTEL_EXPORTER_PROMETHEUS_HOST: '127.0.0.1',
    }
    const app = start(`${project('express')}/register-app.mjs`, { env })
    expect(await get((await app.message()).port, '/plain')).toBe(200)
    await app.end()
    expect(app.stderr).toMatch(
      /^afterspan: Prometheus metrics cannot be served on 127\.0\.0\.1:[^\n]*EADDRINUSE[^\n]*\n$/,
    )
  })
})

test('OTEL_METRICS_EXPORTER=otlp pushes metrics as well', async () => {
  const env = { ...to(collector), OTEL_METRICS_EXPORTER: 'otlp' }
  const app = start(`${project('express')}/register-app.mjs`, { env })
  await get((await app.message()).port, '/plain')
  await app.end()
  expect([...collector.paths].sort()).toEqual(['/v1/metrics', '/v1/traces'])
})

test('real Jaeger has the trace under the name of the service, at the default path of OTLP/HTTP', async () => {
  const [otlp, query, grpc, health] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  const bin = execFileSync('bash', [join(root, '.ci/install-backends.sh')], { encoding: 'utf8' }).trim()
  const ports = {
    JAEGER_OTLP_PORT: otlp,
    JAEGER_QUERY_PORT: query,
    JAEGER_QUERY_GRPC_PORT: grpc,
    JAEGER_HEALTH_PORT: health,
  }
  const jaeger = spawn(join(bin, 'jaeger'), ['--config', join(root, '.ci/jaeger.yaml')], {
    env: { ...process.env, ...Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)])) },
    stdio: 'ignore',
  })
  try {
    await expect.poll(() => get(health, '/status').catch(() => 0), { timeout: 20_000 }).toBe(200)
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${otlp}`,
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=shop',
    }
    const app = start(`${project('express')}/register-app.mjs`, { env })
    await get((await app.message()).port, '/api/v1/users/7')
    await app.end()
    const answer = async () => (await fetch(`http://127.0.0.1:${query}/api/traces?service=shop`)).json()
    const operations = async () =>
      ((await answer()) as { data: { spans: { operationName: string }[] }[] }).data.flatMap(({ spans }) =>
        spans.map((span) => span.operationName),
      )
    await expect.poll(operations, { timeout: 10_000 }).toEqual(['GET /api/v1/users/:id'])
  } finally {
    jaeger.kill()
  }
})
