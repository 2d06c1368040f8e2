import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { arch, homedir, platform, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe } from 'vitest'

/** What a test needs besides Node. `.ci/run` installs all of it. */
export type Program = 'jaeger' | 'prometheus' | 'promtool' | 'docker-compose'
export type Need = Program | 'python'

const LOOPBACK = '127.0.0.1'
const READY_WITHIN = 20_000

// --- Finding

function executable(path: string): string | undefined {
  try {
    accessSync(path, constants.X_OK)
    return path
  } catch {
    return undefined
  }
}

function cacheHome(): string {
  return process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
}

/** Where `.ci/install-*.sh` have put what they built, without building it. */
function builtBackends(): string[] {
  const root = process.env.BACKENDS_CACHE || join(cacheHome(), 'otel-backends')
  const machine = `${platform()}-${arch() === 'x64' ? 'amd64' : arch()}`
  if (!existsSync(root)) return []
  return readdirSync(root)
    .filter((name) => name.includes(`-${machine}-`) && existsSync(join(root, name, 'ok')))
    .map((name) => join(root, name, 'bin'))
}

/** The program's path: in `AFTERSPAN_BACKENDS_BIN`, on `PATH`, or where `.ci/install-*.sh` leave it. */
export function find(program: Program): string | undefined {
  const given = process.env.AFTERSPAN_BACKENDS_BIN
  const directories = [given, ...(process.env.PATH ?? '').split(delimiter), ...builtBackends()]
  for (const directory of directories) {
    const found = directory && executable(join(directory, program))
    if (found) return found
  }
  return undefined
}

/** A Python that has `prometheus_client`: `AFTERSPAN_PYTHON`, or the environment that `.ci/run` makes. */
export function python(): string | undefined {
  return executable(process.env.AFTERSPAN_PYTHON || join(cacheHome(), 'afterspan/python/bin/python'))
}

export function required<T>(need: Need, found: T | undefined): T {
  if (found !== undefined) return found
  throw new Error(
    `${need} is not installed. bash .ci/run installs it, as do bash .ci/install-backends.sh and install-compose.sh but python.`,
  )
}

/**
 * `describe` for tests that need programs from outside npm. On a developer's machine that lacks one they are skipped, and
 * the title says why; with `CI=true` that is an error, so that they are never skipped unseen.
 */
export function describeWith(needs: readonly Need[], name: string, tests: () => void): void {
  const missing = needs.filter((need) => (need === 'python' ? python() : find(need)) === undefined)
  if (missing.length === 0) describe(name, tests)
  else if (process.env.CI === 'true') throw new Error(`"${name}" needs ${missing.join(', ')}, and CI must have it.`)
  else describe.skip(`${name} (skipped: ${missing.join(', ')} not installed; see .ci/run)`, tests)
}

// --- Running

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * Ends a process when this one is gone, also when this one is killed and has no say in it: the guard's input ends then.
 * The function that is returned dismisses the guard.
 */
function endWithThisProcess(pid: number): () => void {
  const script = `trap '' INT TERM HUP; read -r _ || kill -9 ${pid}`
  const guard = spawn('sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  guard.stdin.on('error', () => {})
  guard.unref()
  ;(guard.stdin as Socket).unref()
  return () => guard.stdin.end('dismissed\n')
}

/** A program that runs until it is stopped, at the latest with this process. */
export class Backend {
  readonly child: ChildProcess
  readonly name: string
  output = ''

  constructor(name: string, program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd?: string) {
    this.name = name
    this.child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(this.child)
    const dismiss = endWithThisProcess(this.child.pid!)
    this.child.once('close', () => {
      running.delete(this.child)
      dismiss()
    })
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk) => {
        this.output = (this.output + chunk).slice(-20_000)
      })
    }
  }

  async ready(url: string): Promise<void> {
    await until(`${this.name} to be ready`, READY_WITHIN, async () => {
      if (this.child.exitCode !== null) throw new Error(`${this.name} ended by itself:\n${this.output}`)
      return (await fetch(url).catch(() => undefined))?.ok || undefined
    })
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const closed = once(this.child, 'close')
    this.child.kill('SIGTERM')
    const late = setTimeout(() => this.child.kill('SIGKILL'), 5_000)
    await closed
    clearTimeout(late)
  }
}

/** Asks `read` every 50 ms until it gives something; its errors end the wait. */
export async function until<T>(what: string, within: number, read: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + within
  while (true) {
    const value = await read()
    if (value !== undefined) return value
    if (performance.now() > deadline) throw new Error(`Waited ${within} ms in vain for ${what}.`)
    await sleep(50)
  }
}

/** Ports that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, LOOPBACK)
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}

async function json(url: string): Promise<unknown> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`)
  return response.json()
}

// --- Jaeger

export interface JaegerTag {
  readonly key: string
  readonly type: string
  readonly value: unknown
}

export interface JaegerSpan {
  readonly traceID: string
  readonly spanID: string
  readonly operationName: string
  /** The parent is a CHILD_OF, a link a FOLLOWS_FROM. Jaeger shows no attributes of links here. */
  readonly references: readonly { refType: 'CHILD_OF' | 'FOLLOWS_FROM'; traceID: string; spanID: string }[]
  /** Microseconds since 1970. */
  readonly startTime: number
  /** Microseconds. */
  readonly duration: number
  readonly tags: readonly JaegerTag[]
  /** Span events; an exception is one with the field `event` = `exception`. */
  readonly logs: readonly { timestamp: number; fields: readonly JaegerTag[] }[]
  readonly processID: string
}

export interface JaegerTrace {
  readonly traceID: string
  readonly spans: readonly JaegerSpan[]
  readonly processes: Readonly<Record<string, { serviceName: string; tags: readonly JaegerTag[] }>>
}

export interface TraceSearch {
  readonly service: string
  readonly operation?: string
  /** Attributes that one span of the trace has. `error`, `span.kind` and `otel.status_code` find nothing. */
  readonly tags?: Readonly<Record<string, string>>
  /** Default 1,500. */
  readonly limit?: number
}

/** Tags, or the fields of a log, as an object. */
export function tagsOf(tags: readonly JaegerTag[]): Record<string, unknown> {
  return Object.fromEntries(tags.map(({ key, value }) => [key, value]))
}

/** A real Jaeger that keeps its traces in memory. */
export class Jaeger {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly otlpUrl: string
  readonly queryUrl: string
  readonly pid: number
  readonly #backend: Backend

  constructor(backend: Backend, otlpPort: number, queryPort: number) {
    this.#backend = backend
    this.pid = backend.child.pid!
    this.otlpUrl = `http://${LOOPBACK}:${otlpPort}`
    this.queryUrl = `http://${LOOPBACK}:${queryPort}`
  }

  async trace(id: string): Promise<JaegerTrace | undefined> {
    const response = await fetch(`${this.queryUrl}/api/traces/${id}`)
    if (response.status === 404) return undefined
    if (!response.ok) throw new Error(`Jaeger answered ${response.status}: ${await response.text()}`)
    return ((await response.json()) as { data: JaegerTrace[] }).data[0]
  }

  /** The trace, as soon as it is there and is what `predicate` wants: its spans arrive in several batches. */
  async waitForTrace(
    id: string,
    predicate: (trace: JaegerTrace) => boolean = () => true,
    within = 15_000,
  ): Promise<JaegerTrace> {
    let last: JaegerTrace | undefined
    try {
      return await until(`trace ${id}`, within, async () => {
        last = await this.trace(id)
        return last !== undefined && predicate(last) ? last : undefined
      })
    } catch (error) {
      const seen = last?.spans.map((span) => span.operationName).join(', ') ?? 'nothing'
      throw new Error(`${(error as Error).message} Jaeger has: ${seen}.`)
    }
  }

  async traces({ service, operation, tags, limit = 1_500 }: TraceSearch): Promise<JaegerTrace[]> {
    const query = new URLSearchParams({ service, limit: String(limit), lookback: '1h' })
    if (operation !== undefined) query.set('operation', operation)
    if (tags !== undefined) query.set('tags', JSON.stringify(tags))
    return ((await json(`${this.queryUrl}/api/traces?${query}`)) as { data: JaegerTrace[] }).data
  }

  async stop(): Promise<void> {
    await this.#backend.stop()
  }
}

export async function startJaeger(): Promise<Jaeger> {
  const [otlp, query, queryGrpc, health] = (await freePorts(4)) as [number, number, number, number]
  const config = fileURLToPath(new URL('../../../.ci/jaeger.yaml', import.meta.url))
  const backend = new Backend('jaeger', required('jaeger', find('jaeger')), ['--config', config], {
    JAEGER_OTLP_PORT: String(otlp),
    JAEGER_QUERY_PORT: String(query),
    JAEGER_QUERY_GRPC_PORT: String(queryGrpc),
    JAEGER_HEALTH_PORT: String(health),
  })
  await startedOrStopped(backend, `http://${LOOPBACK}:${health}/status`)
  return new Jaeger(backend, otlp, query)
}

async function startedOrStopped(backend: Backend, url: string): Promise<void> {
  try {
    await backend.ready(url)
  } catch (error) {
    await backend.stop()
    throw error
  }
}

// --- Prometheus

export interface Target {
  readonly job: string
  /** `host:port`. */
  readonly url: string
  /** Default `/metrics`. */
  readonly path?: string
}

export interface PrometheusOptions {
  readonly targets: readonly Target[]
  /** Default `200ms`. */
  readonly scrapeInterval?: string
  /** Paths of rules files. */
  readonly rules?: readonly string[]
  /** More of Prometheus' own flags, such as `--web.enable-otlp-receiver`. */
  readonly flags?: readonly string[]
}

/** One series of an instant query. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** One series of a range query. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>
  readonly values: readonly { readonly time: number; readonly value: number }[]
}

export interface RuleGroup {
  readonly name: string
  readonly rules: readonly { readonly name: string; readonly health: string; readonly lastError?: string }[]
}

export interface ExemplarSeries {
  readonly seriesLabels: Readonly<Record<string, string>>
  readonly exemplars: readonly { labels: Readonly<Record<string, string>>; value: string; timestamp: number }[]
}

/** A real Prometheus that asks for OpenMetrics first, and so takes exemplars. */
export class Prometheus {
  readonly url: string
  readonly pid: number
  readonly #backend: Backend
  readonly #directory: string
  readonly #targets: number

  constructor(backend: Backend, port: number, directory: string, targets: number) {
    this.#backend = backend
    this.#directory = directory
    this.#targets = targets
    this.pid = backend.child.pid!
    this.url = `http://${LOOPBACK}:${port}`
  }

  /** An instant query that gives a vector or a scalar. */
  async query(promql: string): Promise<Sample[]> {
    const { data } = (await json(`${this.url}/api/v1/query?${new URLSearchParams({ query: promql })}`)) as QueryAnswer
    if (data.resultType === 'scalar') return [{ labels: {}, value: Number(data.result[1]) }]
    return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }))
  }

  /** A range query that gives a matrix; times in seconds since 1970. */
  async queryRange(promql: string, start: number, end: number, step: number): Promise<Series[]> {
    const query = new URLSearchParams({ query: promql, start: String(start), end: String(end), step: String(step) })
    const { data } = (await json(`${this.url}/api/v1/query_range?${query}`)) as {
      data: { result: { metric: Record<string, string>; values: [number, string][] }[] }
    }
    return data.result.map(({ metric, values }) => ({
      labels: metric,
      values: values.map(([time, value]) => ({ time, value: Number(value) })),
    }))
  }

  async ruleGroups(): Promise<RuleGroup[]> {
    return ((await json(`${this.url}/api/v1/rules`)) as { data: { groups: RuleGroup[] } }).data.groups
  }

  /** `start` and `end` as a Date or in seconds since 1970. */
  async queryExemplars(selector: string, start: Date | number, end: Date | number): Promise<ExemplarSeries[]> {
    const seconds = (time: Date | number) => String(time instanceof Date ? time.getTime() / 1000 : time)
    const query = new URLSearchParams({ query: selector, start: seconds(start), end: seconds(end) })
    return ((await json(`${this.url}/api/v1/query_exemplars?${query}`)) as { data: ExemplarSeries[] }).data
  }

  /** Waits until every target has been scraped with success. */
  async waitForUp(within = 30_000): Promise<void> {
    await until(`Prometheus to have scraped ${this.#targets} targets`, within, async () => {
      const up = await this.query('up == 1')
      return up.length === this.#targets || undefined
    })
  }

  async stop(): Promise<void> {
    await this.#backend.stop()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

type QueryAnswer = {
  data:
    | { resultType: 'scalar'; result: [number, string] }
    | { resultType: 'vector'; result: { metric: Record<string, string>; value: [number, string] }[] }
}

export async function startPrometheus({
  targets,
  scrapeInterval = '200ms',
  rules = [],
  flags = [],
}: PrometheusOptions): Promise<Prometheus> {
  const program = required('prometheus', find('prometheus'))
  const [port] = (await freePorts(1)) as [number]
  const directory = mkdtempSync(join(tmpdir(), 'afterspan-prometheus-'))
  const config = {
    global: {
      scrape_interval: scrapeInterval,
      scrape_timeout: scrapeInterval,
      evaluation_interval: scrapeInterval,
      scrape_protocols: ['OpenMetricsText1.0.0', 'OpenMetricsText0.0.1', 'PrometheusText0.0.4'],
    },
    rule_files: rules,
    scrape_configs: targets.map(({ job, url, path = '/metrics' }) => ({
      job_name: job,
      metrics_path: path,
      static_configs: [{ targets: [url] }],
    })),
  }
  // JSON is YAML.
  writeFileSync(join(directory, 'prometheus.yml'), JSON.stringify(config))
  const backend = new Backend('prometheus', program, [
    `--config.file=${join(directory, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=${LOOPBACK}:${port}`,
    '--enable-feature=exemplar-storage',
    '--log.level=warn',
    ...flags,
  ])
  const prometheus = new Prometheus(backend, port, directory, targets.length)
  try {
    await backend.ready(`${prometheus.url}/-/ready`)
  } catch (error) {
    await prometheus.stop()
    throw error
  }
  return prometheus
}

/** Runs promtool, such as `promtool(['check', 'metrics'], text)`. It throws, with promtool's output, when that fails. */
export function promtool(args: readonly string[], stdin = ''): string {
  return execFileSync(required('promtool', find('promtool')), args, {
    input: stdin,
    encoding: 'utf8',
    stdio: 'pipe',
    timeout: 110_000,
  })
}
