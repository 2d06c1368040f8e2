import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, posix, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import {
  Backend,
  describeWith,
  find,
  freePorts,
  Jaeger,
  Prometheus,
  promtool,
  required,
  tagsOf,
  until,
} from './harness/backends.ts'
import { readDockerfile, takeSteps } from './harness/dockerfile.ts'

/**
 * `docker-compose.yml` without Docker: its text is read by the real Docker Compose, and its programs run on this machine
 * with the same files, flags and variables. Only addresses and paths are others.
 */
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COMPOSE_FILE = join(ROOT, 'docker-compose.yml')
const LOOPBACK = '127.0.0.1'
const PINNED = /^[\w./-]+:v?\d+\.\d+\.\d+(-[\w.-]+)?$/

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

// --- What Docker Compose understands

interface Mount {
  readonly type: 'bind' | 'volume'
  /** An absolute path, or the volume's name. */
  readonly source: string
  readonly target: string
  readonly read_only?: boolean
}

interface Service {
  readonly image?: string
  readonly build?: { readonly context: string; readonly dockerfile: string }
  readonly command?: readonly string[] | null
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly { host_ip?: string; target: number; published: string }[]
  readonly volumes?: readonly Mount[]
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly init?: boolean
  readonly stop_grace_period?: string
  readonly network_mode?: string
}

interface Project {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes?: Readonly<Record<string, unknown>>
}

function composeConfig(text: string): Project {
  const program = required('docker-compose', find('docker-compose'))
  const options = ['--project-directory', ROOT, '--file', '-', 'config', '--format', 'json']
  return JSON.parse(execFileSync(program, options, { input: text, encoding: 'utf8', stdio: 'pipe', cwd: tmpdir() }))
}

const project = find('docker-compose') && composeConfig(readFileSync(COMPOSE_FILE, 'utf8'))
const services = (): [string, Service][] => Object.entries((project as Project).services)
const service = (name: string): Service => (project as Project).services[name]!
const mounts = (name: string, type: Mount['type']) => (service(name).volumes ?? []).filter((one) => one.type === type)
const dockerfile = readDockerfile(join(ROOT, 'examples/image-service/Dockerfile'))
const healthcheckOf = (name: string) =>
  service(name).healthcheck?.test ?? (service(name).build && ['CMD', ...(dockerfile.healthcheck ?? [])])

/** The repository's file that a service sees at `path`. */
function mountedAt(name: string, path: string): string | undefined {
  const mount = mounts(name, 'bind').find(({ target }) => path === target || path.startsWith(`${target}/`))
  return mount && join(mount.source, posix.relative(mount.target, path))
}

// --- The files that are mounted

interface DataSource {
  readonly name: string
  readonly type: string
  readonly uid: string
  readonly url: string
  readonly jsonData: {
    readonly prometheusVersion?: string
    readonly timeInterval?: string
    readonly exemplarTraceIdDestinations?: readonly { name: string; datasourceUid?: string; url?: string }[]
    readonly tracesToMetrics?: {
      readonly datasourceUid: string
      readonly tags: readonly { key: string; value: string }[]
      readonly queries: readonly { name: string; query: string }[]
    }
  }
}

const provisioned = (kind: string) =>
  readdirSync(join(ROOT, 'grafana/provisioning', kind)).map((file) => read(`grafana/provisioning/${kind}/${file}`))
const dataSources = provisioned('datasources').flatMap((text) => parse(text).datasources as DataSource[])
const dataSource = (type: string) => dataSources.find((one) => one.type === type)!
const prometheusConfig = parse(read('grafana/prometheus/prometheus.yml')) as {
  global: { scrape_interval: string }
  scrape_configs: { job_name: string; static_configs: { targets: string[] }[] }[]
}
const targets = Object.fromEntries(
  prometheusConfig.scrape_configs.map(({ job_name, static_configs }) => [job_name, static_configs[0]!.targets[0]!]),
)

/** `host:port` of each listener in Jaeger's configuration, with the variables' defaults or these values. */
function jaegerListeners(environment: Readonly<Record<string, string>>) {
  const text = read('grafana/jaeger.yaml').replaceAll(/\$\{env:(\w+):-([^}]*)\}/g, (_, name, otherwise) => {
    return environment[name] ?? otherwise
  })
  const { extensions, receivers, service } = parse(text)
  const metrics = service.telemetry.metrics.readers[0].pull.exporter.prometheus
  return {
    health: extensions.healthcheckv2.http.endpoint,
    query: extensions.jaeger_query.http.endpoint,
    queryGrpc: extensions.jaeger_query.grpc.endpoint,
    otlpGrpc: receivers.otlp.protocols.grpc.endpoint,
    otlpHttp: receivers.otlp.protocols.http.endpoint,
    metrics: `${metrics.host}:${metrics.port}`,
  } as Record<'health' | 'query' | 'queryGrpc' | 'otlpGrpc' | 'otlpHttp' | 'metrics', string>
}

describe('the image of the image service', () => {
  it('is based on the Node that runs the tests of this repository, by a tag that is no moving one', () => {
    expect(dockerfile.from).toMatch(PINNED)
    expect(dockerfile.from).toContain(`node:${parse(read('package.json')).devDependencies.node}-`)
  })

  it('runs as a user without rights, and listens to the port that it exposes', () => {
    expect(dockerfile.user).toBe('node')
    expect(dockerfile.env).toMatchObject({ HOST: '0.0.0.0', PORT: String(dockerfile.ports[0]) })
  })
})

describe('what is provisioned in Grafana', () => {
  it('has the two data sources under the names that others refer to them by', () => {
    expect(dataSources.map(({ type, uid }) => [type, uid]).sort()).toEqual([
      ['jaeger', 'afterspan-jaeger'],
      ['prometheus', 'afterspan-prometheus'],
    ])
  })

  it('leads from exemplars to Jaeger, by the label that /metrics gives them', () => {
    const destinations = dataSource('prometheus').jsonData.exemplarTraceIdDestinations!
    for (const { name } of destinations) expect(name).toBe('trace_id')
    expect(destinations.map(({ datasourceUid }) => datasourceUid)).toContain(dataSource('jaeger').uid)
    expect(destinations.map(({ url }) => url)).toContain('http://localhost:16686/trace/$${__value.raw}')
  })

  it('leads from traces to Prometheus', () => {
    expect(dataSource('jaeger').jsonData.tracesToMetrics!.datasourceUid).toBe(dataSource('prometheus').uid)
  })

  it('knows the interval at which Prometheus scrapes', () => {
    expect(dataSource('prometheus').jsonData.timeInterval).toBe(prometheusConfig.global.scrape_interval)
  })

  it('has no dollar that Grafana would read as an environment variable', () => {
    for (const text of [...provisioned('datasources'), ...provisioned('dashboards')]) {
      const values = text.replaceAll(/#.*/g, '')
      expect(values.replaceAll('$$', '')).not.toContain('$')
    }
  })
})

describeWith(['docker-compose'], 'docker-compose.yml', () => {
  it('is refused by Docker Compose when something in it has no meaning', () => {
    const text = readFileSync(COMPOSE_FILE, 'utf8')
    expect(() => composeConfig(text.replace('healthcheck:', 'heathcheck:'))).toThrow(/heathcheck/)
    expect(() => composeConfig(text.replace('jaeger: { condition', 'jager: { condition'))).toThrow(/jager/)
  })

  it('consists of the service, Jaeger, Prometheus and Grafana', () => {
    expect(services().map(([name]) => name)).toEqual(['grafana', 'image-service', 'jaeger', 'prometheus'])
  })

  it('pins every image', () => {
    for (const [name, { image, build }] of services()) {
      if (build === undefined) expect(image, name).toMatch(PINNED)
      else expect(build.dockerfile, name).toBe('examples/image-service/Dockerfile')
    }
    // Nor does Grafana fetch newer data sources than its image has.
    expect(service('grafana').environment).toMatchObject({ GF_PLUGINS_PREINSTALL_AUTO_UPDATE: 'false' })
  })

  it('runs the Prometheus that the tests run', () => {
    const [, version] = /^# Installs .*Prometheus (\d+\.\d+\.\d+)/m.exec(read('.ci/install-backends.sh'))!
    expect(service('prometheus').image).toBe(`prom/prometheus:v${version}`)
    expect(dataSource('prometheus').jsonData.prometheusVersion).toBe(version)
  })

  it('publishes on this machine alone, no port twice', () => {
    const ports = services().flatMap(([, { ports = [] }]) => ports)
    expect(ports.length).toBeGreaterThan(0)
    for (const port of ports) expect(port.host_ip, `port ${port.published}`).toBe(LOOPBACK)
    expect(new Set(ports.map(({ published }) => published)).size).toBe(ports.length)
    for (const [name, { network_mode }] of services()) expect(network_mode, name).toBeUndefined()
  })

  it('checks the health of every service, at an address that it listens to', () => {
    const listened: Record<string, string> = {
      'image-service': dockerfile.env.PORT!,
      jaeger: portOf(jaegerListeners(service('jaeger').environment!).health),
      prometheus: portOf(dataSource('prometheus').url),
      grafana: '3000',
    }
    for (const [name] of services()) {
      const [kind, ...command] = healthcheckOf(name) ?? []
      expect(kind, name).toBe('CMD')
      const text = command.join(' ').replace("' + process.env.PORT + '", dockerfile.env.PORT!)
      expect(/http:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1], name).toBe(listened[name])
    }
  })

  it('mounts what is in the repository, and does not let it be written', () => {
    for (const [name] of services()) {
      for (const { source, read_only } of mounts(name, 'bind')) {
        expect(relative(ROOT, source), `${name} mounts ${source}`).not.toMatch(/^\.\./)
        expect(existsSync(source), `${name} mounts ${source}`).toBe(true)
        expect(read_only, `${name} mounts ${source}`).toBe(true)
      }
    }
  })

  it('keeps what Prometheus and Grafana store in volumes', () => {
    expect(mounts('grafana', 'volume').map(({ target }) => target)).toEqual(['/var/lib/grafana'])
    expect(mounts('prometheus', 'volume').map(({ target }) => target)).toEqual(['/prometheus'])
    expect(service('prometheus').command).toContain('--storage.tsdb.path=/prometheus')
  })

  it('lets everybody see everything in Grafana, and nobody change it', () => {
    expect(service('grafana').environment).toMatchObject({
      GF_AUTH_ANONYMOUS_ENABLED: 'true',
      GF_AUTH_ANONYMOUS_ORG_ROLE: 'Viewer',
      GF_AUTH_DISABLE_LOGIN_FORM: 'true',
      GF_AUTH_BASIC_ENABLED: 'false',
    })
    for (const name of Object.keys(service('grafana').environment!)) expect(name).toMatch(/^GF_[A-Z_]+$/)
  })

  it('mounts what Grafana provisions where Grafana looks for it', () => {
    for (const kind of ['datasources', 'dashboards']) {
      expect(mountedAt('grafana', `/etc/grafana/provisioning/${kind}`)).toBe(join(ROOT, 'grafana/provisioning', kind))
    }
    const [provider] = provisioned('dashboards').flatMap((text) => parse(text).providers)
    expect(mountedAt('grafana', provider.options.path)).toBe(join(ROOT, 'grafana/dashboards'))
    const home = mountedAt('grafana', service('grafana').environment!.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH!)
    expect(home && JSON.parse(readFileSync(home, 'utf8'))).toMatchObject({ panels: expect.any(Array) })
  })

  it('has every service where the others look for it', () => {
    const jaeger = jaegerListeners(service('jaeger').environment!)
    for (const listener of Object.values(jaeger)) expect(listener).toMatch(/^0\.0\.0\.0:\d+$/)
    expect(dataSource('jaeger').url).toBe(`http://jaeger:${portOf(jaeger.query)}`)
    expect(dataSource('prometheus').url).toBe(`http://prometheus:${service('prometheus').ports![0]!.target}`)
    expect(service('image-service').environment?.OTEL_EXPORTER_OTLP_ENDPOINT).toBe(
      `http://jaeger:${portOf(jaeger.otlpHttp)}`,
    )
    expect(targets).toEqual({
      'image-service': `image-service:${dockerfile.env.PORT}`,
      prometheus: `localhost:${service('prometheus').ports![0]!.target}`,
      jaeger: `jaeger:${portOf(jaeger.metrics)}`,
    })
    expect(dockerfile.env.OTEL_SERVICE_NAME).toBe('image-service')
  })

  it('publishes Jaeger at its usual ports, and what else it publishes is listened to', () => {
    const { query, otlpGrpc, otlpHttp } = jaegerListeners(service('jaeger').environment!)
    const published = (name: string) =>
      service(name).ports!.map(({ published, target }) => [Number(published), target] as const)
    expect(published('jaeger')).toEqual(
      [query, otlpGrpc, otlpHttp].map((at) => [Number(portOf(at)), Number(portOf(at))]),
    )
    expect(published('jaeger').map(([port]) => port)).toEqual([16686, 4317, 4318])
    expect(published('image-service')).toEqual([[8080, Number(dockerfile.env.PORT)]])
    expect(published('prometheus')).toEqual([[9090, 9090]])
    expect(published('grafana')).toEqual([[3000, 3000]])
  })

  it('ends the image service by SIGTERM, with time for accepted work', () => {
    expect(service('image-service')).toMatchObject({ init: true, stop_grace_period: '30s' })
  })
})

function portOf(address: string): string {
  return /:(\d+)\/?$/.exec(address)![1]!
}

// --- The programs, on this machine

/** Below it, everything is at the path that it has in its container. */
class Container {
  readonly root: string

  constructor(name: string) {
    this.root = mkdtempSync(join(tmpdir(), `afterspan-${name}-`))
    for (const { source, target } of mounts(name, 'bind')) cpSync(source, join(this.root, target), { recursive: true })
    for (const { target } of mounts(name, 'volume')) mkdirSync(join(this.root, target), { recursive: true })
  }

  /** Changes addresses in a file. */
  rewrite(path: string, addresses: Readonly<Record<string, string>>): void {
    const file = join(this.root, path)
    let text = readFileSync(file, 'utf8')
    for (const [from, to] of Object.entries(addresses)) {
      if (!text.includes(from)) throw new Error(`${path} does not have ${from}.`)
      text = text.replaceAll(from, to)
    }
    writeFileSync(file, text)
  }

  /** The flags of the compose file, with the paths as they are here. */
  command(name: string): string[] {
    return (service(name).command ?? []).map((flag) => flag.replace(/=(?=\/)/, `=${this.root}`))
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}

describeWith(['docker-compose', 'jaeger', 'prometheus', 'promtool'], 'the programs of docker-compose.yml', () => {
  const cleanUps: (() => Promise<unknown> | unknown)[] = []
  let jaeger: Jaeger
  let prometheus: Prometheus
  let app: Backend
  let appUrl: string
  let image: Container
  let environment: NodeJS.ProcessEnv

  const inImage = () => join(image.root, dockerfile.workdir)
  const node = () => join(inImage(), 'node_modules/.bin/node')
  const started = async (backend: Backend, url: string) => {
    cleanUps.push(() => backend.stop())
    await backend.ready(url)
    return backend
  }
  /** Runs the command of the image, with these variables over those of the image. */
  const serve = (variables: NodeJS.ProcessEnv) => {
    const [program, ...args] = dockerfile.command as [string, ...string[]]
    expect(program).toBe('node')
    return new Backend('image service', node(), args, { ...environment, ...dockerfile.env, ...variables }, inImage())
  }
  /** Runs the health check of the compose file or the Dockerfile, with another port. */
  const healthcheck = (name: string, port: number | string) => {
    const [program, ...args] = healthcheckOf(name)!.slice(1) as [string, ...string[]]
    const own = program === 'promtool' ? required('promtool', find('promtool')) : program === 'node' ? node() : program
    execFileSync(
      own,
      args.map((arg) => arg.replace(/(?<=127\.0\.0\.1:)\d+/, String(port))),
      { env: { ...environment, PORT: String(port) }, stdio: 'pipe', timeout: 10_000 },
    )
  }

  beforeAll(async () => {
    // Vitest's own variables are none of theirs.
    const { NODE_ENV: _, NODE_OPTIONS: __, VITEST: ___, ...rest } = process.env
    environment = rest
    image = new Container('image-service')
    cleanUps.push(() => image.remove())
    takeSteps(dockerfile, ROOT, image.root, environment)
    environment = { ...environment, PATH: `${join(inImage(), 'node_modules/.bin')}${delimiter}${environment.PATH}` }
  }, 300_000)

  beforeAll(async () => {
    const ports = await freePorts(8)
    const [health, query, queryGrpc, otlpGrpc, otlpHttp, metrics, appPort, prometheusPort] = ports.map(
      String,
    ) as string[]

    const forJaeger = new Container('jaeger')
    cleanUps.push(() => forJaeger.remove())
    const jaegerBackend = await started(
      new Backend('jaeger', required('jaeger', find('jaeger')), forJaeger.command('jaeger'), {
        ...service('jaeger').environment,
        JAEGER_LISTEN_HOST: LOOPBACK,
        JAEGER_HEALTH_PORT: health,
        JAEGER_QUERY_PORT: query,
        JAEGER_QUERY_GRPC_PORT: queryGrpc,
        JAEGER_OTLP_GRPC_PORT: otlpGrpc,
        JAEGER_OTLP_HTTP_PORT: otlpHttp,
        JAEGER_METRICS_PORT: metrics,
      }),
      `http://${LOOPBACK}:${health}/status`,
    )
    jaeger = new Jaeger(jaegerBackend, Number(otlpHttp), Number(query))
    healthcheck('jaeger', health!)

    app = serve({
      ...service('image-service').environment,
      HOST: LOOPBACK,
      PORT: appPort,
      OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpUrl,
    })
    cleanUps.push(() => app.stop())
    appUrl = `http://${LOOPBACK}:${appPort}`

    const forPrometheus = new Container('prometheus')
    forPrometheus.rewrite('/etc/prometheus/prometheus.yml', {
      [targets['image-service']!]: `${LOOPBACK}:${appPort}`,
      [targets.prometheus!]: `${LOOPBACK}:${prometheusPort}`,
      [targets.jaeger!]: `${LOOPBACK}:${metrics}`,
    })
    cleanUps.push(() => forPrometheus.remove())
    const prometheusBackend = await started(
      new Backend('prometheus', required('prometheus', find('prometheus')), [
        ...forPrometheus.command('prometheus'),
        `--web.listen-address=${LOOPBACK}:${prometheusPort}`,
        '--log.level=warn',
      ]),
      `http://${LOOPBACK}:${prometheusPort}/-/ready`,
    )
    prometheus = new Prometheus(prometheusBackend, Number(prometheusPort), forPrometheus.root, 3)
    healthcheck('prometheus', prometheusPort!)
  })

  afterAll(async () => {
    for (const cleanUp of cleanUps.reverse()) await cleanUp()
  })

  it('promtool accepts the configuration of Prometheus with the rules that it names', () => {
    expect(promtool(['check', 'config', join(ROOT, 'grafana/prometheus/prometheus.yml')])).toMatch(/SUCCESS/)
  })

  it('Jaeger accepts its configuration as it is', () => {
    const options = ['validate', '--config', join(ROOT, 'grafana/jaeger.yaml')]
    execFileSync(required('jaeger', find('jaeger')), options, { stdio: 'pipe', timeout: 30_000 })
  })

  it('the image service becomes healthy by the health check of its image', async () => {
    expect(() => healthcheck('image-service', 1)).toThrow()
    await until('the image service to be healthy', 60_000, async () => {
      if (app.child.exitCode !== null) throw new Error(`It ended by itself:\n${app.output}`)
      try {
        healthcheck('image-service', portOf(appUrl))
        return true
      } catch {
        return undefined
      }
    })
    const metrics = await fetch(`${appUrl}/metrics`, { headers: { accept: 'application/openmetrics-text' } })
    expect(metrics.status).toBe(200)
    expect(await metrics.text()).toMatch(/^afterspan_task_deferred_total\{/m)
  })

  it('Prometheus keeps exemplars and takes nothing by OTLP', async () => {
    const { data } = (await (await fetch(`${prometheus.url}/api/v1/status/flags`)).json()) as {
      data: Record<string, string>
    }
    expect(data).toMatchObject({
      'enable-feature': 'exemplar-storage',
      'web.enable-otlp-receiver': 'false',
      'web.enable-admin-api': 'false',
      'web.enable-lifecycle': 'false',
    })
    const pushed = await fetch(`${prometheus.url}/api/v1/otlp/v1/metrics`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf' },
    })
    expect(pushed.status).toBe(404)
  })

  it('Prometheus reaches the service, Jaeger and itself', async () => {
    await prometheus.waitForUp()
    const up = await prometheus.query('up == 1')
    expect(up.map(({ labels }) => labels.job).sort()).toEqual(['image-service', 'jaeger', 'prometheus'])
  })

  it('Prometheus has the rules and the alerts, and none of them fails', async () => {
    interface Rule {
      readonly name: string
      readonly type: 'recording' | 'alerting'
      readonly health: 'ok' | 'err' | 'unknown'
      readonly lastError?: string
    }
    const rules = await until('a rule to be evaluated', 60_000, async () => {
      const answer = await fetch(`${prometheus.url}/api/v1/rules`)
      const { data } = (await answer.json()) as { data: { groups: { rules: Rule[] }[] } }
      const all = data.groups.flatMap((group) => group.rules)
      return all.some(({ health }) => health === 'ok') ? all : undefined
    })
    expect(new Set(rules.map(({ type }) => type))).toEqual(new Set(['recording', 'alerting']))
    expect(rules.filter(({ health }) => health === 'err')).toEqual([])
  })

  it('an exemplar leads to a trace in Jaeger, and a span of a task back to metrics of that task', async () => {
    const { name } = dataSource('prometheus').jsonData.exemplarTraceIdDestinations![0]!
    const id = await until('an exemplar', 60_000, async () => {
      const series = await prometheus.queryExemplars(
        'afterspan_task_duration_seconds_bucket{job="image-service"}',
        Date.now() / 1000 - 600,
        Date.now() / 1000 + 5,
      )
      return series.flatMap(({ exemplars }) => exemplars).map(({ labels }) => labels[name])[0]
    })
    const isTask = (operation: string) => operation.startsWith('task ')
    const trace = await jaeger.waitForTrace(id, ({ spans }) => spans.some(({ operationName }) => isTask(operationName)))
    const span = trace.spans.find(({ operationName }) => isTask(operationName))!
    const process = trace.processes[span.processID]!
    expect(process.serviceName).toBe('image-service')

    // As Grafana does it: the tags that the span or its process has, under the names of the labels.
    const { tags, queries } = dataSource('jaeger').jsonData.tracesToMetrics!
    const known = { ...tagsOf(span.tags), ...tagsOf(process.tags) }
    const labels = tags
      .filter(({ key }) => known[key] !== undefined)
      .map(({ key, value }) => `${value}="${known[key]}"`)
    expect(labels).toEqual([`task_name="${span.operationName.slice('task '.length)}"`])
    for (const { name, query } of queries) {
      expect(query, name).toContain('$$__tags')
      const promql = query.replace('$$__tags', labels.join(', '))
      const samples = await until(`data for "${name}"`, 60_000, async () => {
        const samples = await prometheus.query(promql)
        return samples.some(({ value }) => value >= 0) ? samples : undefined
      })
      for (const sample of samples) expect(sample.labels, name).toMatchObject({ job: 'image-service' })
      // A span that has none of the tags gives a query that Prometheus understands.
      await prometheus.query(query.replace('$$__tags', ''))
    }
  })

  it('the service listens to the address in HOST', { skip: process.platform !== 'linux' }, async () => {
    const [port] = (await freePorts(1)) as [number]
    const other = serve({ OTEL_TRACES_EXPORTER: 'none', HOST: '127.0.0.2', PORT: String(port) })
    cleanUps.push(() => other.stop())
    await until('an answer at 127.0.0.2', 60_000, async () => {
      if (other.child.exitCode !== null) throw new Error(`It ended by itself:\n${other.output}`)
      return (await fetch(`http://127.0.0.2:${port}/health/tasks`).catch(() => undefined))?.ok || undefined
    })
    await other.stop()
  })

  it('SIGTERM ends the service with exit code 0, in time', async () => {
    expect(app.child.exitCode, app.output).toBeNull()
    const closed = once(app.child, 'close')
    const from = performance.now()
    app.child.kill('SIGTERM')
    const [code] = (await closed) as [number | null]
    expect(code, app.output).toBe(0)
    const grace = Number(/^(\d+)s$/.exec(service('image-service').stop_grace_period!)![1])
    expect(performance.now() - from).toBeLessThan(grace * 1000)
    expect(app.output).toMatch(/afterspan: closed; \d+ deferred = /)
  })
})
