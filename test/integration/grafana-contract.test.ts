/**
 * Every query of every panel, variable, annotation, rule and alert is put to a real Prometheus that knows an image service in
 * which every state occurs: scraped from `metrics()`, received by OTLP, and scraped from a stock `PrometheusExporter`.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { METRICS } from '../../src/telemetry/catalogue.ts'
import { ANY, allQueries, dashboards, filledIn, RULE_FILES, type ShippedQuery } from '../grafana/shipped.ts'
import type { Truth } from './fixtures/every-state/app.ts'
import {
  describeWith,
  freePorts,
  type Jaeger,
  type Prometheus,
  startJaeger,
  startPrometheus,
  until,
} from './harness/backends.ts'
import { describeWithServers, type RealServer, startRedis } from './harness/servers.ts'

const APP = fileURLToPath(new URL('fixtures/every-state/app.ts', import.meta.url))
const TELEMETRY = fileURLToPath(new URL('fixtures/every-state/telemetry.ts', import.meta.url))

const WAYS = ['metrics()', 'OTLP', 'stock PrometheusExporter'] as const
type Way = (typeof WAYS)[number]

/** Short, for the whole scenario takes some seconds; long enough for several scrapes. */
const TIMES = { __rate_interval: '10s', __range: '10m', __range_s: '600' }
const VALUES = { ...ANY, ...TIMES, job: 'image-service' }
/** What the dashboard Task is looked at with: it has all outcomes but dropped, and a route. */
const TASK = { 'task.json': 'thumbnail' } as Record<string, string>
/** And what its panels about engines are looked at with. */
const ENGINE_TASK = 'relay'
const OF_ENGINES = (
  ['engineJobs', 'engineUp', 'engineConcurrency', 'taken', 'returned', 'redelivered', 'lost'] as const
).map((key): string => METRICS[key].prometheus)
const isOfEngines = (expr: string) => OF_ENGINES.some((name) => expr.includes(name))
/** Or those about what tasks take of the thread: one that runs in the loop and holds it, and one in a thread of its own. */
const BLOCKING_TASK = 'spin'
const WORKER_TASK = 'burn'

/** The task that the dashboard Task shows when a query of it is looked at. */
function taskFor(file: string, expr: string): string {
  const one = TASK[file]
  if (one === undefined) return VALUES.task
  if (isOfEngines(expr)) return ENGINE_TASK
  if (expr.includes(METRICS.blocked.prometheus) || expr.includes('task_heap_estimated="true"')) return BLOCKING_TASK
  if (expr.includes(METRICS.cpu.prometheus) || expr.includes(METRICS.heap.prometheus)) return WORKER_TASK
  return one
}

let child: ChildProcess
let jaeger: Jaeger
let redis: RealServer
let directory: string
let truth: Truth
let began: number
const prometheus = {} as Record<Way, Prometheus>

/** The rules as they are shipped, evaluated as often as this test needs. */
function rulesFiles(which: readonly (keyof typeof RULE_FILES)[]): string[] {
  return which.map((name) => {
    const file = join(directory, basename(RULE_FILES[name]))
    writeFileSync(file, readFileSync(RULE_FILES[name], 'utf8').replaceAll(/interval: 1m/g, 'interval: 500ms'))
    return file
  })
}

describeWith(['prometheus', 'jaeger'], 'the dashboards and rules', () =>
  describeWithServers(['redis'], 'against a real Prometheus', () => {
    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'afterspan-contract-'))
      const [stockPort, closedPort] = (await freePorts(2)) as [number, number]
      redis = await startRedis()
      const rules = rulesFiles(['recording', 'alerts'])
      const pushed = await startPrometheus({
        targets: [],
        rules,
        flags: ['--web.enable-otlp-receiver'],
        scrapeInterval: '500ms',
      })
      prometheus.OTLP = pushed
      jaeger = await startJaeger()
      child = fork(APP, [], {
        cwd: fileURLToPath(new URL('../..', import.meta.url)),
        execArgv: ['--import', TELEMETRY],
        env: {
          ...process.env,
          OTEL_SERVICE_NAME: 'image-service',
          OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${jaeger.otlpUrl}/v1/traces`,
          OTEL_METRICS_EXPORTER: 'otlp',
          OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${pushed.url}/api/v1/otlp/v1/metrics`,
          OTEL_METRIC_EXPORT_INTERVAL: '500',
          OTEL_BSP_SCHEDULE_DELAY: '200',
          STOCK_PORT: String(stockPort),
          REDIS_PORT: String(redis.port),
          CLOSED_PORT: String(closedPort),
        },
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      })
      const [{ url }] = (await once(child, 'message')) as [{ url: string }]
      const scrape = (target: string, more: readonly (keyof typeof RULE_FILES)[] = []) =>
        startPrometheus({
          targets: [{ job: 'image-service', url: target }],
          rules: [...rulesFiles(more), ...rules],
          scrapeInterval: '500ms',
        })
      prometheus['metrics()'] = await scrape(new URL(url).host)
      prometheus['stock PrometheusExporter'] = await scrape(`127.0.0.1:${stockPort}`, ['stock'])
      // What was there before the first task must have been seen, or increase() does not know it.
      for (const way of WAYS) {
        await prometheus[way].waitForUp()
        await until(`the first figures by ${way}`, 30_000, async () => {
          const seen = await prometheus[way].query(
            'count_over_time(afterspan_task_deferred_total{task_name="bulk"}[1m])',
          )
          return (seen[0]?.value ?? 0) >= 2 || undefined
        })
      }
      began = Date.now() / 1000 - 30
      const ran = once(child, 'message') as Promise<[Truth]>
      child.send('run')
      ;[truth] = await ran
      for (const way of WAYS) {
        await until(`the last figures by ${way}`, 20_000, async () => {
          const [seen] = await prometheus[way].query('sum(afterspan_task_deferred_total{task_name="bulk"})')
          const [recorded] = await prometheus[way].query(
            'sum(job_task_name:afterspan_task_late_effects_per_effect:ratio_rate3d)',
          )
          return (seen?.value === truth.deferred.bulk && recorded !== undefined) || undefined
        })
      }
      // Engines are asked every 10 s, and may hold one that has lost its lock as active for a moment.
      for (const way of WAYS) {
        await until(`what the engine holds by ${way}`, 30_000, async () => {
          const seen = await prometheus[way].query('afterspan_engine_jobs{task_name="relay"} > 0')
          const held = Object.fromEntries(seen.map(({ labels, value }) => [labels.engine_state, value]))
          return isDeepStrictEqual(held, truth.engineJobs.relay) || undefined
        })
      }
      // The alerts that wait for nothing fire one evaluation after their rates are recorded.
      await until('an alert', 20_000, async () => {
        const firing = await Promise.all(WAYS.map((way) => prometheus[way].query('ALERTS{alertstate="firing"}')))
        return firing.every((alerts) => alerts.length > 0) || undefined
      })
      await sleep(1_500)
    })

    afterAll(async () => {
      child?.disconnect()
      await Promise.all([jaeger?.stop(), redis?.dispose(), ...WAYS.map((way) => prometheus[way]?.stop())])
      rmSync(directory, { recursive: true, force: true })
    })

    /** Panels of options that are off, by what they are about; nothing else may be empty. */
    const OFF: string[] = []
    // Older versions of Node cannot tell the CPU time of a thread.
    if (process.threadCpuUsage === undefined) OFF.push(METRICS.cpu.prometheus)
    const NOT_BY_OTLP = /\b(up|scrape_duration_seconds|scrape_samples_scraped)\{/
    const mayBeEmpty = (expr: string, way: Way) =>
      OFF.some((name) => expr.includes(name)) || (way === 'OTLP' && NOT_BY_OTLP.test(expr))

    async function points(way: Way, query: ShippedQuery, expr: string): Promise<number> {
      if (query.instant || query.kind !== 'panel') {
        const samples = await prometheus[way].query(expr)
        return samples.filter(({ value }) => !Number.isNaN(value)).length
      }
      const series = await prometheus[way].queryRange(expr, began, Date.now() / 1000, 1)
      return series.flatMap(({ values }) => values).filter(({ value }) => !Number.isNaN(value)).length
    }

    const queries = allQueries().filter(({ kind, where }) => kind !== 'alert' && !where.startsWith('stock'))

    describe.each(WAYS)('by %s', (way) => {
      test.each(queries)('$where has data', async (query) => {
        const file = query.where.split(':')[0]!
        const filled = filledIn(query.expr, { ...VALUES, task: taskFor(file, query.expr) })
        // A week ago there was nothing; the same of today must be something.
        const expr = filled.replaceAll(' offset 1w', '')
        const found = await points(way, query, expr)
        if (mayBeEmpty(expr, way)) expect(found, expr).toBe(0)
        else expect(found, expr).toBeGreaterThan(0)
      })

      test('a task that runs on no engine has nothing in the row Engine', async () => {
        const { panels } = dashboards().get('task.json')!
        const from = panels.findIndex(({ type, title }) => type === 'row' && title === 'Engine')
        const row = panels.slice(from + 1, from + 7)
        expect(row.map(({ fieldConfig }) => fieldConfig!.defaults.noValue)).toEqual(
          Array(6).fill('Off: this task runs on no engine'),
        )
        for (const { expr } of row.flatMap(({ targets }) => targets!)) {
          expect(await prometheus[way].query(filledIn(expr, { ...VALUES, task: 'thumbnail' })), expr).toEqual([])
        }
      })

      test.each(allQueries().filter(({ kind }) => kind === 'alert'))('$where is answered', async ({ expr }) => {
        await prometheus[way].query(expr)
      })

      test('every rule is evaluated without an error', async () => {
        const groups = await prometheus[way].ruleGroups()
        const states = groups.flatMap(({ rules }) => rules)
        expect(states.length).toBeGreaterThanOrEqual(31 + 23)
        expect(states.filter(({ health }) => health !== 'ok')).toEqual([])
      })

      test('the alerts that fire are those that should', async () => {
        const firing = await prometheus[way].query('count by (alertname, task_name) (ALERTS{alertstate="firing"})')
        const names = firing.map(({ labels }) => `${labels.alertname} ${labels.task_name}`).sort()
        expect(names).toEqual(
          ['bulk', 'deaf', 'outage', 'thumbnail', 'webhook']
            .filter(hasFiveFailures)
            .map((task) => `AfterspanFailureBudgetBurn ${task}`)
            .concat(`AfterspanTaskRunTwice ${ENGINE_TASK}`),
        )
        // These are not told at once. One failed scrape would make them begin anew.
        const pending = 'count by (alertname, task_name) (max_over_time(ALERTS{alertstate="pending"}[1m]))'
        const waiting = await prometheus[way].query(pending)
        expect(waiting.map(({ labels }) => `${labels.alertname} ${labels.task_name}`)).toEqual(
          expect.arrayContaining(['AfterspanEngineDown gone', 'AfterspanEngineNotConsumed stray']),
        )
        // The table of alerts has those of no service in particular as well.
        const firesNow = dashboards()
          .get('overview.json')!
          .panels.find(({ title }) => title === 'What is firing?')!
        const inTable = firesNow.targets![0]!.expr.replace('alertstate="firing"', 'alertstate="pending"')
        const listed = await prometheus[way].query(`max_over_time((${filledIn(inTable, VALUES)})[1m:1s])`)
        expect(listed.map(({ labels }) => labels.alertname)).toContain('AfterspanEngineNotConsumed')
      })

      test('counts are what was done', async () => {
        const table = async (expr: string, ...labels: string[]) =>
          Object.fromEntries(
            (await prometheus[way].query(expr)).map((sample) => [
              labels.map((label) => sample.labels[label]).join(' '),
              sample.value,
            ]),
          )
        expect(await table('sum by (task_name) (afterspan_task_deferred_total) > 0', 'task_name')).toEqual(
          truth.deferred,
        )
        expect(
          await table(
            'sum by (task_name, task_outcome) (afterspan_task_finished_total) > 0',
            'task_name',
            'task_outcome',
          ),
        ).toEqual(flat(truth.finished))
        expect(
          await table(
            'sum by (task_name, task_result) (afterspan_task_attempts_total) > 0',
            'task_name',
            'task_result',
          ),
        ).toEqual(flat(truth.attempts))
        expect(
          await table('sum by (task_name, task_state) (afterspan_task_pending) > 0', 'task_name', 'task_state'),
        ).toEqual(flat(truth.pending))
        for (const key of ['taken', 'returned', 'redelivered', 'lost'] as const) {
          const counted = await table(`${METRICS[key].prometheus}{task_name="relay"}`, 'task_name')
          expect(counted, key).toEqual({ relay: truth.engine.relay![key] })
        }
        expect(
          await table('sum by (task_name, engine_state) (afterspan_engine_jobs) > 0', 'task_name', 'engine_state'),
        ).toEqual(flat(truth.engineJobs))
        expect(await table('afterspan_engine_up', 'task_name')).toEqual({ relay: 1, stray: 1, gone: 0 })
        expect(await table('afterspan_task_blocked_seconds_count{task_name="spin"}', 'task_name')).toEqual(truth.stalls)
        expect(await table('afterspan_undeclared_duration_seconds_count', 'http_route', 'span_name')).toEqual(
          truth.undeclared,
        )
        for (const [outcome, histogram] of [
          ['completed', 'effect'],
          ['failed', 'effect'],
        ] as const) {
          expect(await table(`sum(afterspan_task_${histogram}_seconds_count{task_outcome="${outcome}"})`)).toEqual({
            '': sum(truth.finished, outcome),
          })
        }
      })

      /** The query of a panel, by its title. */
      function queryOf(file: string, title: string, task: string, index: number, step: string): string {
        const panel = dashboards()
          .get(file)!
          .panels.find((each) => each.title === title)!
        return filledIn(panel.targets![index]!.expr, { ...VALUES, task, __rate_interval: step })
      }

      /** The figure that it shows. */
      async function shown(
        file: string,
        title: string,
        task: string,
        index = 0,
        of = '',
        step = '10s',
      ): Promise<number> {
        const expr = queryOf(file, title, task, index, step)
        const [, label, value] = /^(\w+)="(.*)"$/.exec(of) ?? []
        const samples = (await prometheus[way].query(expr)).filter(({ labels }) => !label || labels[label] === value)
        expect(samples.length, `${title}: ${expr}`).toBe(1)
        return samples[0]!.value
      }

      async function engines(): Promise<void> {
        const { taken, returned, redelivered, lost } = truth.engine.relay!
        const held = truth.engineJobs.relay!
        const engine = (task: string) => shown('overview.json', 'Do engines answer, and workers run?', task)
        expect([await engine('relay'), await engine('stray'), await engine('gone'), await engine('.*')]).toEqual([
          0, 1, 2, 2,
        ])
        const column = async (name: string, of = 'relay') => {
          const titles = Object.entries(
            dashboards()
              .get('capacity.json')!
              .panels.find(({ title }) => title === 'What do the engines hold?')!
              .transformations!.find(({ id }) => id === 'organize')!.options.renameByName as Record<string, string>,
          )
          const [field] = titles.find(([, title]) => title === name)!
          const index = field.charCodeAt(field.length - 1) - 65
          return shown('capacity.json', 'What do the engines hold?', '.*', index, `task_name="${of}"`)
        }
        expect(await column('Waiting')).toBe(held.waiting)
        expect(await column('Delayed')).toBe(held.delayed)
        expect(await column('Active')).toBe(held.active)
        expect(await column('Failed')).toBe(held.failed)
        expect(await column('Oldest')).toBeGreaterThan(1)
        expect(await column('Running')).toBe(truth.pending.relay!.running)
        expect(await column('Limit')).toBe(truth.engineConcurrency)
        expect(await column('Limit', 'stray')).toBe(0)
        expect(await column('No answer')).toBe(0)
        expect(await column('No answer', 'gone')).toBe(1)
        expect(await column('Returned')).toBe(returned)
        expect(await column('Redelivered')).toBe(redelivered)
        expect(await column('Lost')).toBe(lost)
        expect(await shown('task.json', 'What does its engine hold?', 'relay', 0, 'engine_state="failed"')).toBe(
          held.failed,
        )
        expect(await shown('task.json', 'Are the consumers full?', 'relay', 0)).toBe(truth.pending.relay!.running)
        expect(await shown('task.json', 'Are the consumers full?', 'relay', 1)).toBe(truth.engineConcurrency)
        expect(await shown('capacity.json', 'Are the consumers full?', '.*', 0)).toBe(truth.pending.relay!.running)
        const inSlots = dashboards()
          .get('capacity.json')!
          .panels.find(({ title }) => title === 'Which tasks hold the slots?')!
        const holders = await prometheus[way].query(
          filledIn(inSlots.targets![0]!.expr, { ...VALUES, __rate_interval: '600s' }),
        )
        expect(holders.map(({ labels }) => labels.task_name)).toContain('thumbnail')
        expect(holders.map(({ labels }) => labels.task_name)).not.toContain('relay')
        expect(await shown('task.json', 'Waiting', 'relay')).toBe(held.waiting)
        expect(await shown('task.json', 'Oldest', 'relay')).toBeGreaterThan(1)
        expect(await shown('task.json', 'Do consumers keep up?', 'relay', 1, '', '600s')).toBeGreaterThan(0)
        expect(await shown('task.json', 'What ran twice?', 'relay', 0, '', '600s')).toBe(redelivered)
        expect(await shown('task.json', 'What ran twice?', 'relay', 1, '', '600s')).toBe(lost)
        expect(taken - returned).toBe(
          sum(truth.finished, 'completed', 'relay') +
            sum(truth.finished, 'failed', 'relay') +
            sum(truth.finished, 'cancelled', 'relay') +
            truth.pending.relay!.running!,
        )
      }

      async function loopAndRequests(): Promise<void> {
        const spin = `task_name="${BLOCKING_TASK}"`
        // Each held it for 70 ms. What came before the first scrape of the series is not seen: at most the first of four portions.
        const seen = 0.75 * truth.stalls.spin! * 0.07
        const share = await shown('capacity.json', 'Who blocks the event loop?', '.*', 0, spin, '600s')
        expect(share).toBeGreaterThan((0.9 * seen) / 600)
        expect(share).toBeLessThan((5 * seen) / 600)
        const stretches = (index: number) =>
          shown('capacity.json', 'How long is it held at once?', '.*', index, spin, '600s')
        expect(await stretches(0)).toBeGreaterThan(0.05)
        expect(await stretches(1)).toBeGreaterThanOrEqual(await stretches(0))
        const perMinute = await shown('capacity.json', 'How often does it stall?', '.*', 0, spin, '600s')
        expect(perMinute).toBeGreaterThan((0.9 * 0.75 * truth.stalls.spin!) / 10)
        const ofOne = await shown('task.json', 'How often does it stall?', BLOCKING_TASK, 0, '', '600s')
        // Asked a moment later.
        expect(ofOne).toBeCloseTo(perMinute, 1)

        // At one moment, since figures go on changing.
        const request = (index: number) => queryOf('capacity.json', 'How long do requests take?', '.*', index, '600s')
        const tax = queryOf('capacity.json', 'What is the foreground tax?', '.*', 0, '600s')
        const [off] = await prometheus[way].query(
          `clamp_min((${request(0)}) - (${request(1)}), 0) - ignoring (instance) (${tax})`,
        )
        expect(off!.value).toBeCloseTo(0, 9)
        const [idle] = await prometheus[way].query(
          'sum(afterspan_request_duration_seconds_count{background_running="false"})',
        )
        expect(idle!.value).toBeGreaterThanOrEqual(truth.idleRequests)

        const written = truth.undeclared['/reports/:id write report']!
        const title = 'What goes on after responses undeclared?'
        const wrapped = `suggestion="req.defer(fn), or tasks.track('write report', promise)"`
        const report = (index: number, of = 'http_route="/reports/:id"') =>
          shown('overview.json', title, '.*', index, of)
        expect(await report(0, wrapped)).toBe(written)
        expect(await report(0)).toBe(written)
        expect(await report(1)).toBeGreaterThan((written * 0.06) / 600)
        expect(await report(2)).toBeGreaterThan(0.05)
        expect(await report(3)).toBeGreaterThanOrEqual(await report(2))
      }

      test('panels show what was done', async () => {
        const ended = (task: string) => truth.finished[task]!
        const ratio = ({ completed = 0, failed = 0, dropped = 0 }: Record<string, number>) =>
          (failed + dropped) / (completed + failed + dropped)
        for (const task of ['thumbnail', 'webhook', 'outage', 'bulk']) {
          expect(await shown('task.json', 'Failure ratio', task), task).toBeCloseTo(ratio(ended(task)), 6)
        }
        const all = Object.values(truth.finished)
        const total = (outcome: 'completed' | 'failed' | 'dropped') =>
          all.reduce((sum, each) => sum + (each[outcome] ?? 0), 0)
        const together = { completed: total('completed'), failed: total('failed'), dropped: total('dropped') }
        expect(await shown('overview.json', 'Failure ratio', '.*')).toBeCloseTo(ratio(together), 4)
        const inEngines = truth.engineJobs.relay!.waiting! + truth.engineJobs.stray!.waiting!
        expect(await shown('overview.json', 'Waiting', '.*')).toBe(truth.pending.bulk!.ready! + inEngines)
        expect(await shown('overview.json', 'Saturation', '.*')).toBe(truth.used / truth.limit)
        expect(await shown('overview.json', 'Oldest', '.*')).toBeGreaterThan(1)
        expect(await shown('overview.json', 'Starts', '.*')).toBe(1)
        expect(await shown('overview.json', 'Budget left', '.*')).toBeLessThan(0)
        expect(await shown('task.json', 'Zombies', 'deaf')).toBe(truth.zombies)
        const attempts = Object.values(truth.attempts.webhook!).reduce((sum, each) => sum + each, 0)
        expect(await shown('task.json', 'Attempts', 'webhook')).toBeCloseTo(
          attempts / (ended('webhook').completed! + ended('webhook').failed!),
          6,
        )
        // An error type that was never seen before: none of its first counts may be missing.
        const refused = truth.attempts.webhook!.error!
        expect(await shown('task.json', 'How do attempts end?', 'webhook', 0, 'task_result="error"', '600s')).toBe(
          refused,
        )
        expect(await shown('slo.json', 'Errors behind the failures', 'webhook', 0, 'error_type="TypeError"')).toBe(
          refused,
        )
        expect(await shown('task.json', 'Which routes ask for it?', 'thumbnail', 0, 'http_route="/images"')).toBe(
          truth.deferred.thumbnail,
        )
        expect(await shown('capacity.json', 'Are there free slots?', '.*', 0)).toBe(truth.used)
        expect(await shown('capacity.json', 'Are there free slots?', '.*', 1)).toBe(truth.limit)
        expect(await shown('telemetry-health.json', 'Ledger off by', '.*')).toBe(0)
        expect(await shown('telemetry-health.json', 'Spans lost', '.*')).toBe(0)
        expect(await shown('telemetry-health.json', 'Instances', '.*')).toBe(1)
        await engines()
        await loopAndRequests()
        if (way !== 'OTLP') expect(await shown('telemetry-health.json', 'Scrapes that fail', '.*')).toBe(0)
      })
    })

    test('the link of a table or a panel finds failed attempts in Jaeger', async () => {
      const text = JSON.stringify(dashboards().get('task.json'))
      const link = JSON.parse(`"${/"url":"([^"]*\/search\?(?:[^"\\]|\\.)*)"/.exec(text)![1]}"`) as string
      const values = {
        service: 'image-service',
        task: 'webhook',
        __from: String(Math.floor(began * 1000)),
        __to: String(Date.now()),
      }
      const { search } = new URL(filledIn(link, values))
      const answer = await fetch(`${jaeger.queryUrl}/api/traces${search}`)
      const { data } = (await answer.json()) as {
        data: { spans: { operationName: string; tags: { key: string; value: unknown }[] }[] }[]
      }
      expect(data.length).toBeGreaterThan(0)
      for (const { spans } of data) {
        const failed = spans.filter(({ tags }) =>
          tags.some(({ key, value }) => key === 'task.result' && value === 'error'),
        )
        expect(failed.map(({ operationName }) => operationName)).toContain('task webhook')
      }
    })

    test.each([
      'task_wait_seconds_bucket{task_name="webhook"}',
      'task_duration_seconds_bucket{task_name="webhook"}',
      'task_effect_seconds_bucket{task_name="webhook"}',
      'undeclared_duration_seconds_bucket',
    ])('exemplars of %s lead from the scrape to a trace', async (name) => {
      const series = await prometheus['metrics()'].queryExemplars(`afterspan_${name}`, began, new Date())
      const ids = series.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels.trace_id!))
      expect(ids.length).toBeGreaterThan(0)
      await jaeger.waitForTrace(ids[0]!)
    })
  }),
)

function hasFiveFailures(task: string): boolean {
  const { failed = 0, dropped = 0 } = truth.finished[task] ?? {}
  return failed + dropped >= 5
}

function flat(table: Record<string, Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(table).flatMap(([task, counts]) =>
      Object.entries(counts).map(([word, value]) => [`${task} ${word}`, value]),
    ),
  )
}

function sum(table: Truth['finished'], outcome: 'completed' | 'failed' | 'cancelled', task?: string): number {
  return Object.entries(table)
    .filter(([name]) => task === undefined || name === task)
    .reduce((total, [, each]) => total + (each[outcome] ?? 0), 0)
}
