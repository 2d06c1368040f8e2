import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from './harness/backends.ts'
import { App, Collector, root } from './register-harness.ts'

/** Everything here happens outside the repository, so that nothing resolves from its node_modules. */
const outside = realpathSync(mkdtempSync(join(tmpdir(), 'afterspan-packed-')))
const fixtures = fileURLToPath(new URL('./fixtures/packed/', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, string | Record<string, string>>
  devDependencies: Record<string, string>
  version: string
  bin: Record<string, string>
}

let tarball: string
let packed: readonly string[]

const run = promisify(execFile)

/** Runs a command with the Node under test first on the PATH; what it prints becomes part of the error. */
async function sh(cwd: string, command: string, ...args: string[]): Promise<string> {
  const { CI: _, ...env } = process.env
  env.PATH = `${dirname(process.execPath)}${delimiter}${env.PATH}`
  try {
    return (await run(command, args, { cwd, env, timeout: 110_000, maxBuffer: 1e8 })).stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${basename(command)} ${args.join(' ')} failed in ${cwd}:\n${stdout}\n${stderr}`)
  }
}

/** Packs a copy of the tree, as in a clean clone: nothing built before, nothing that git ignores. */
async function pack(): Promise<void> {
  const clone = join(outside, 'clone')
  const left = ['dist', '.git', '.tmp'].map((name) => join(root, name))
  const wanted = (source: string) => !left.includes(source) && basename(source) !== 'node_modules'
  cpSync(root, clone, { recursive: true, filter: wanted })
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'))
  const [{ filename, files }] = JSON.parse(await sh(clone, 'npm', 'pack', '--json', '--silent')) as [
    { filename: string; files: { path: string }[] },
  ]
  tarball = join(clone, filename)
  packed = files.map(({ path }) => path)
}

/** A fresh project with the fixture's files, the tarball and these packages. npm refuses what the peer ranges do not allow. */
async function project(name: string, packages: readonly string[]): Promise<string> {
  const directory = join(outside, name)
  mkdirSync(directory)
  cpSync(join(fixtures, name), directory, { recursive: true })
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--engine-strict', '--loglevel=error']
  await sh(directory, 'npm', 'install', ...quiet, tarball, ...packages)
  return directory
}

const sameAsHere = (...names: string[]) => names.map((name) => `${name}@${manifest.devDependencies[name]}`)

const SDK = sameAsHere(
  '@opentelemetry/api',
  '@opentelemetry/exporter-prometheus',
  '@opentelemetry/exporter-trace-otlp-http',
  '@opentelemetry/instrumentation',
  '@opentelemetry/instrumentation-express',
  '@opentelemetry/instrumentation-http',
  '@opentelemetry/sdk-node',
)
const TYPESCRIPT = sameAsHere('typescript', '@types/node', '@types/express')

beforeAll(pack, 110_000)
afterAll(() => rmSync(outside, { recursive: true, force: true }))

describe('the tarball', () => {
  test('has all that exports and types point to', () => {
    const targets = Object.values(manifest.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : Object.values(target),
    )
    targets.push(...Object.values(manifest.bin).map((path) => `./${path}`), './docs/runbooks.md')
    expect(targets.filter((target) => !packed.includes(target.slice(2)))).toEqual([])
  })

  test('has its licence and README, and nothing of tests, benchmarks, examples or sources', () => {
    expect(packed).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json']))
    const known = /^(dist\/|docs\/|(LICENSE|README\.md|CHANGELOG\.md|package\.json)$)/
    expect(packed.filter((path) => !known.test(path))).toEqual([])
    expect(packed.filter((path) => /(^|[./])(test|tests|bench|examples?|fixtures)([./]|$)/.test(path))).toEqual([])
    expect(packed.filter((path) => /(?<!\.d)\.ts$/.test(path))).toEqual([])
  })
})

describe('a fresh project', () => {
  let collector: Collector
  let app: App | undefined

  beforeEach(async () => {
    collector = await Collector.start()
  })
  afterEach(async () => {
    app?.child.kill('SIGKILL')
    app = undefined
    await collector.stop()
  })

  const telemetry = () => ({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_SERVICE_NAME: 'shop' })

  /** Orders something and waits until the work after the response is done. */
  async function order(port: number): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${port}/orders/7`, { method: 'POST' })
    expect(await response.json()).toEqual({ accepted: true })
    const finished = await until('two tasks to finish', 10_000, async () => {
      const report = await fetch(`http://127.0.0.1:${port}/health/tasks`)
      const { ledger } = (await report.json()) as { ledger: { outcomes: Record<string, number> } }
      const { outcomes } = ledger
      return Object.values(outcomes).reduce((sum, count) => sum + count, 0) === 2 ? outcomes : undefined
    })
    expect(finished.completed).toBe(2)
  }

  /** One waterfall: both tasks are children of the SERVER span, which has its route. */
  function expectWaterfall(): void {
    const server = collector.serverSpans().find((span) => span.name.startsWith('POST'))
    expect(server).toMatchObject({ name: 'POST /orders/:id', attributes: { 'http.route': '/orders/:id' } })
    const { traceId, spanId } = server!
    const tasks = collector.spans.filter((span) => span.name.startsWith('task '))
    expect(tasks.map((span) => span.name).sort()).toEqual(['task send-receipt', 'task writeLog'])
    for (const task of tasks) {
      expect(task).toMatchObject({ traceId, parentSpanId: spanId })
      expect(task.attributes).toMatchObject({ 'http.route': '/orders/:id', 'task.result': 'ok' })
    }
  }

  async function expectRegisterToTrace(directory: string, file: string): Promise<void> {
    app = new App(join(directory, file), { cwd: directory, env: telemetry() })
    const { port } = await app.message()
    await order(port)
    const scrape = await fetch(`http://127.0.0.1:${port}/metrics`)
    const lines = (await scrape.text()).split('\n')
    const finished = lines.find(
      (line) =>
        line.startsWith('afterspan_task_finished_total{') &&
        line.includes('task_name="send-receipt"') &&
        line.includes('task_outcome="completed"'),
    )
    expect(finished).toMatch(/\} 1$/)
    await app.end()
    expectWaterfall()
  }

  test('of ES modules and Express 5 serves and traces', async () => {
    const directory = await project('esm-express5', [...SDK, ...sameAsHere('express')])
    await expectRegisterToTrace(directory, 'app.js')

    const afterspan = (...args: string[]) => sh(directory, 'npm', 'exec', '--offline', '--', 'afterspan', ...args)
    expect((await afterspan('--version')).trim()).toBe(manifest.version)
    await afterspan('grafana', '--out', 'monitoring', '--datasource', 'prometheus-1', '--oldest', '60')
    const written = (path: string) => readFileSync(join(directory, 'monitoring', path), 'utf8')
    expect((JSON.parse(written('dashboards/overview.json')) as { uid: string }).uid).toBe('afterspan-overview')
    expect(written('prometheus/rules/alerts.yml')).toContain('afterspan_task_oldest_seconds) > 60')
    expect(written('runbooks.md')).toMatch(/^# Runbooks/)
    await expect(afterspan('grafana')).rejects.toThrow('say where to with --out DIR')
  })

  test('of CommonJS and Express 4 serves and traces', async () => {
    const express4 = manifest.devDependencies.express4!.replace('npm:', '')
    const directory = await project('cjs-express4', [...SDK, express4])
    await expectRegisterToTrace(directory, 'app.js')
  })

  test('in strict TypeScript compiles with its declarations and those of its peers, then serves and traces', async () => {
    const engines = sameAsHere('bullmq', 'ioredis', 'pg-boss')
    const directory = await project('typescript', [...SDK, ...sameAsHere('express'), ...engines, ...TYPESCRIPT])
    await sh(directory, 'npm', 'exec', '--offline', '--', 'tsc', '--project', '.')
    await expectRegisterToTrace(directory, 'build/app.js')
  })

  test('with its own OpenTelemetry of the 2.x line gets the spans and metrics where its others go', async () => {
    const received: string[] = []
    const metrics = createServer((request, response) => {
      request.on('data', (chunk) => received.push(String(chunk)))
      request.on('end', () => response.setHeader('content-type', 'application/json').end('{}'))
    })
    await new Promise<void>((resolve) => metrics.listen(0, '127.0.0.1', resolve))
    try {
      const directory = await project('opentelemetry-2', [
        ...sameAsHere('express'),
        '@opentelemetry/api@1.9.1',
        '@opentelemetry/exporter-metrics-otlp-http@0.223.0',
        '@opentelemetry/exporter-trace-otlp-http@0.223.0',
        '@opentelemetry/instrumentation-express@0.71.1',
        '@opentelemetry/instrumentation-http@0.223.0',
        '@opentelemetry/sdk-metrics@2.12.0',
        '@opentelemetry/sdk-node@0.223.0',
      ])
      const { port: metricsPort } = metrics.address() as AddressInfo
      app = new App(join(directory, 'app.js'), {
        cwd: directory,
        node: ['--require', './tracing.js'],
        env: {
          ...telemetry(),
          OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `http://127.0.0.1:${metricsPort}/v1/metrics`,
        },
      })
      const { port } = await app.message()
      await order(port)
      app.child.send('shut down')
      expect((await app.exited).code).toBe(0)
      expectWaterfall()
      for (const name of ['afterspan.task.deferred', 'afterspan.task.finished', 'afterspan.task.duration']) {
        expect(received.join('')).toContain(`"${name}"`)
      }
    } finally {
      metrics.close()
    }
  })

  test('with nothing but @opentelemetry/api runs tasks, and says what to install for the rest', async () => {
    const directory = await project('core-only', sameAsHere('@opentelemetry/api'))
    expect(existsSync(join(directory, 'node_modules/@opentelemetry/sdk-node'))).toBe(false)
    app = new App(join(directory, 'app.js'), { cwd: directory, node: [] })
    const message = await app.message<{
      ran: string[]
      completed: number
      scrape: { status: number; text: string }
      failures: Record<string, { code: string; message: string } | undefined>
    }>()
    expect((await app.exited).code).toBe(0)
    expect(message.ran).toEqual(['in request, after the response', 'outside'])
    expect(message.completed).toBe(2)
    expect(message.scrape).toMatchObject({ status: 503, text: expect.stringContaining('--import afterspan/register') })
    const install: Record<string, RegExp> = {
      worker: /npm install piscina/,
      bullmq: /npm install bullmq ioredis/,
      pgBoss: /npm install pg-boss/,
    }
    const doors = ['sdk', 'register', 'metricReader', 'testing', ...Object.keys(install)]
    expect(Object.keys(message.failures)).toEqual(doors)
    for (const [door, failure] of Object.entries(message.failures)) {
      expect(failure).toMatchObject({
        code: 'ERR_AFTERSPAN_MISSING_PEER',
        message: expect.stringMatching(install[door] ?? /npm install @opentelemetry\//),
      })
    }
  })

  test('with nothing but @opentelemetry/api compiles against the core', async () => {
    const types = join(root, 'node_modules/@types')
    await sh(join(outside, 'core-only'), join(root, 'node_modules/.bin/tsc'), '--project', '.', '--typeRoots', types)
  })
})
