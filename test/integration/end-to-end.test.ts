import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { HealthReport } from '../../src/express/health.ts'
import {
  describeWith,
  type Jaeger,
  type JaegerSpan,
  type JaegerTrace,
  type Prometheus,
  startJaeger,
  startPrometheus,
  tagsOf,
  until,
} from './harness/backends.ts'

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))

/** What is sent, and what must come of it. */
const SENT = { good: 40, flaky: 10, bad: 7, slow: 3, late: 5, own: 4, outer: 6 } as const
const ATTEMPTS = {
  good: { ok: 40 },
  flaky: { ok: 10, error: 20 },
  bad: { error: 7 },
  slow: { timeout: 3 },
  late: { ok: 5 },
  own: { ok: 4 },
  outer: { ok: 6 },
  inner: { ok: 6 },
} as const
const ROUTE = '/api/shops/:shop/orders/:id/:kind'

describeWith(
  ['jaeger', 'prometheus'],
  'one request and its background work, in real Jaeger and real Prometheus',
  () => {
    let jaeger: Jaeger
    let prometheus: Prometheus
    let app: ChildProcess
    let url: string
    let started: Date
    let stdout = ''
    let stderr = ''

    beforeAll(async () => {
      started = new Date()
      jaeger = await startJaeger()
      app = fork(fixture('end-to-end-app.mjs'), {
        execArgv: ['--import', fixture('end-to-end-telemetry.mjs')],
        env: {
          ...process.env,
          OTEL_SERVICE_NAME: 'shop',
          OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
          OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpUrl,
        },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      })
      app.stdout!.on('data', (chunk) => {
        stdout += chunk
      })
      app.stderr!.on('data', (chunk) => {
        stderr += chunk
      })
      const [{ port }] = (await once(app, 'message')) as [{ port: number }]
      url = `http://127.0.0.1:${port}`
      prometheus = await startPrometheus({ targets: [{ job: 'shop', url: `127.0.0.1:${port}` }] })
      await prometheus.waitForUp()
      for (const [kind, count] of Object.entries(SENT)) {
        const responses = await Promise.all(
          Array.from({ length: count }, (_, index) =>
            fetch(`${url}/api/shops/7/orders/${index}/${kind}`, { method: 'POST' }),
          ),
        )
        expect(responses.map(({ status }) => status)).toEqual(Array(count).fill(202))
      }
      await until('all tasks to be settled', 20_000, async () => {
        const { total } = await report()
        return total.waiting + total.running === 0 && total.deferred === sum(SENT) + SENT.outer ? true : undefined
      })
    })

    afterAll(async () => {
      if (app !== undefined && app.exitCode === null && app.signalCode === null) {
        app.kill('SIGTERM')
        await once(app, 'exit')
      }
      await Promise.all([prometheus?.stop(), jaeger?.stop()])
    })

    const report = async () => (await (await fetch(`${url}/health/tasks`)).json()) as HealthReport

    /** Traces with an attempt of this task, complete. */
    async function tracesOf(task: keyof typeof ATTEMPTS, count: number): Promise<JaegerTrace[]> {
      return until(`${count} traces of ${task}`, 15_000, async () => {
        const traces = await jaeger.traces({ service: 'shop', operation: `task ${task}` })
        return traces.length === count ? traces : undefined
      })
    }
    const spansOf = (trace: JaegerTrace, name: string) =>
      trace.spans.filter((span) => span.operationName === name).sort((a, b) => a.startTime - b.startTime)
    const parentOf = (span: JaegerSpan) => span.references.find(({ refType }) => refType === 'CHILD_OF')?.spanID
    const linksOf = (span: JaegerSpan) =>
      span.references.filter(({ refType }) => refType === 'FOLLOWS_FROM').map(({ spanID }) => spanID)
    const serverOf = (trace: JaegerTrace) => trace.spans.find((span) => tagsOf(span.tags)['span.kind'] === 'server')!

    test('Jaeger: the attempt is a child of the SERVER span, with all attributes, and nothing else is in the waterfall', async () => {
      const traces = await tracesOf('good', SENT.good)
      for (const trace of traces) {
        expect(trace.spans.map(({ operationName }) => operationName).sort()).toEqual([`POST ${ROUTE}`, 'task good'])
        const [task] = spansOf(trace, 'task good')
        const server = serverOf(trace)
        expect(parentOf(task!)).toBe(server.spanID)
        expect(tagsOf(server.tags)['http.route']).toBe(ROUTE)
        expect(tagsOf(task!.tags)).toMatchObject({
          'task.name': 'good',
          'task.attempt': 1,
          'task.result': 'ok',
          'task.priority': 'medium',
          'http.route': ROUTE,
          'http.request.method': 'POST',
          'span.kind': 'internal',
        })
        expect(tagsOf(task!.tags)['task.wait']).toBeGreaterThanOrEqual(0)
        // It begins when the response is over.
        expect(task!.startTime).toBeGreaterThanOrEqual(server.startTime)
        const resource = Object.values(trace.processes)[0]!
        expect(resource.serviceName).toBe('shop')
        expect(tagsOf(resource.tags)['deployment.environment.name']).toBe('test')
      }
    })

    test('Jaeger: attempts are siblings under the SERVER span, linked one to the other, the failed ones with their error', async () => {
      for (const trace of await tracesOf('flaky', SENT.flaky)) {
        const attempts = spansOf(trace, 'task flaky')
        expect(attempts.map(parentOf)).toEqual(Array(3).fill(serverOf(trace).spanID))
        expect(attempts.map(linksOf)).toEqual([[], [attempts[0]!.spanID], [attempts[1]!.spanID]])
        expect(attempts.map((span) => tagsOf(span.tags)['task.result'])).toEqual(['error', 'error', 'ok'])
        expect(attempts.map((span) => tagsOf(span.tags).error)).toEqual([true, true, undefined])
        expect(tagsOf(attempts[0]!.tags)).toMatchObject({ 'error.type': 'TypeError', 'otel.status_code': 'ERROR' })
        const exception = tagsOf(attempts[0]!.logs[0]!.fields)
        expect(exception).toMatchObject({ 'exception.type': 'TypeError', 'exception.message': 'attempt 1 failed' })
        expect(exception['exception.stacktrace']).toContain('end-to-end-app.mjs')
      }
      const [timedOut] = await tracesOf('slow', SENT.slow)
      expect(tagsOf(spansOf(timedOut!, 'task slow')[0]!.tags)).toMatchObject({
        'task.result': 'timeout',
        'error.type': 'TimeoutError',
        error: true,
      })
    })

    test('Jaeger: a delayed task is a trace of its own, linked with the request in both directions', async () => {
      for (const trace of await tracesOf('late', SENT.late)) {
        const [attempt] = trace.spans
        expect(trace.spans).toHaveLength(1)
        expect(parentOf(attempt!)).toBeUndefined()
        const [link] = attempt!.references
        const origin = await jaeger.waitForTrace(link!.traceID, ({ spans }) => spans.length === 2)
        const [defer] = spansOf(origin, 'defer late')
        expect(defer!.spanID).toBe(link!.spanID)
        expect(parentOf(defer!)).toBe(serverOf(origin).spanID)
        expect(defer!.references.filter(({ refType }) => refType === 'FOLLOWS_FROM')).toEqual([
          { refType: 'FOLLOWS_FROM', traceID: trace.traceID, spanID: attempt!.spanID },
        ])
        expect(defer!.duration).toBeGreaterThanOrEqual(30_000)
      }
    })

    test('Jaeger: relation none has no link, and a task deferred in a task is its child', async () => {
      for (const trace of await tracesOf('own', SENT.own))
        expect(trace.spans.map(({ references }) => references)).toEqual([[]])
      for (const trace of await tracesOf('inner', SENT.outer)) {
        const [inner] = spansOf(trace, 'task inner')
        const [outer] = spansOf(trace, 'task outer')
        expect(parentOf(inner!)).toBe(outer!.spanID)
        expect(parentOf(outer!)).toBe(serverOf(trace).spanID)
        expect(tagsOf(inner!.tags)['http.route']).toBe(ROUTE)
      }
    })

    test('Prometheus: counters, histograms and gauges equal what was sent, to the last count', async () => {
      const truth = await until('the last scrape', 10_000, async () => {
        const [total] = await prometheus.query('sum(afterspan_task_finished_total)')
        return total?.value === sum(SENT) + SENT.outer ? total.value : undefined
      })
      expect(truth).toBe(81)
      const by = async (promql: string, label: string) =>
        Object.fromEntries((await prometheus.query(promql)).map(({ labels, value }) => [labels[label], value]))
      expect(await by('afterspan_task_deferred_total', 'task_name')).toEqual({ ...SENT, inner: SENT.outer })
      for (const [task, results] of Object.entries(ATTEMPTS)) {
        const expected = { ok: 0, error: 0, timeout: 0, cancelled: 0, ...results }
        expect(
          await by(`sum by (task_result) (afterspan_task_attempts_total{task_name="${task}"})`, 'task_result'),
          task,
        ).toEqual(expected)
        const ran = Object.entries(results)
        for (const [result, count] of ran) {
          const [histogram] = await prometheus.query(
            `afterspan_task_duration_seconds_count{task_name="${task}",task_result="${result}"}`,
          )
          expect(histogram!.value, `${task} ${result}`).toBe(count)
        }
        const [waits] = await prometheus.query(`sum(afterspan_task_wait_seconds_count{task_name="${task}"})`)
        expect(waits!.value, task).toBe(ran.reduce((total, [, count]) => total + count, 0))
      }
      expect(await by('sum by (task_outcome) (afterspan_task_finished_total)', 'task_outcome')).toEqual({
        completed: 71,
        failed: 10,
        cancelled: 0,
        dropped: 0,
        handed_off: 0,
      })
      expect(await by('sum by (http_route) (afterspan_task_effect_seconds_count)', 'http_route')).toEqual({
        [ROUTE]: 81,
      })
      expect(await by('sum by (task_state) (afterspan_task_pending)', 'task_state')).toEqual({
        held: 0,
        delayed: 0,
        ready: 0,
        running: 0,
        retrying: 0,
      })
      expect((await prometheus.query('afterspan_concurrency_limit'))[0]!.value).toBe(8)
      expect((await prometheus.query('sum(afterspan_telemetry_lost_total)'))[0]!.value).toBe(0)
      // What ran for 20 ms at least lies in no lower bucket.
      expect(
        (
          await prometheus.query(
            'afterspan_task_duration_seconds_bucket{task_name="slow",task_result="timeout",le="0.01"}',
          )
        )[0]!.value,
      ).toBe(0)
    })

    test('Prometheus: increase() sees the first failure, since its series was there at 0', async () => {
      const [failed] = await prometheus.query(
        'increase(afterspan_task_finished_total{task_name="bad",task_outcome="failed"}[1m])',
      )
      expect(failed!.value).toBeGreaterThan(0)
    })

    test.each(['wait', 'duration', 'effect'])(
      'an exemplar of %s in Prometheus leads to its trace in Jaeger',
      async (metric) => {
        const selector = `afterspan_task_${metric}_seconds_bucket{task_name="flaky"}`
        const found = await until('an exemplar', 10_000, async () => {
          const [series] = await prometheus.queryExemplars(selector, started, new Date(Date.now() + 1_000))
          return series?.exemplars.at(-1)
        })
        const trace = await jaeger.waitForTrace(found.labels.trace_id!)
        const span = trace.spans.find(({ spanID }) => spanID === found.labels.span_id)
        expect(span?.operationName).toBe('task flaky')
      },
    )

    test('health says the same as Prometheus, and its averages are those of the attempts that ran', async () => {
      const { total, tasks, status } = await report()
      expect(status).toBe('unhealthy')
      expect(total).toMatchObject({
        deferred: 81,
        completed: 71,
        failed: 10,
        cancelled: 0,
        dropped: 0,
        running: 0,
        waiting: 0,
      })
      expect(total.duration.count).toBe(101)
      for (const [task, figures] of [['slow', tasks.find(({ name }) => name === 'slow')!]] as const) {
        const [mean] = await prometheus.query(
          `sum(afterspan_task_duration_seconds_sum{task_name="${task}"}) / sum(afterspan_task_duration_seconds_count{task_name="${task}"})`,
        )
        expect(figures.duration.mean).toBeCloseTo(mean!.value, 9)
      }
    })

    test("pino's OpenTelemetry instrumentation writes the trace and span id of the attempt into the handler's log lines", async () => {
      const lines = stdout
        .split('\n')
        .filter((line) => line.includes('in the handler'))
        .map((line) => JSON.parse(line))
      expect(lines).toHaveLength(SENT.good)
      const traces = await tracesOf('good', SENT.good)
      const spans = new Map(traces.map((trace) => [trace.traceID, spansOf(trace, 'task good')[0]!]))
      for (const { trace_id, span_id, task } of lines) {
        expect(span_id).toBe(spans.get(trace_id)?.spanID)
        expect(task).toBe(tagsOf(spans.get(trace_id)!.tags)['task.id'])
      }
    })

    test('SIGTERM ends the process by the signal, with the ledger in one line and every span delivered', async () => {
      await fetch(`${url}/api/shops/7/orders/99/good`, { method: 'POST' })
      app.kill('SIGTERM')
      const [code, signal] = (await once(app, 'exit')) as [number | null, string | null]
      expect([code, signal]).toEqual([null, 'SIGTERM'])
      expect(stdout).toContain(
        'afterspan: closed; 82 deferred = 72 completed, 10 failed, 0 cancelled, 0 dropped, 0 handed off\n',
      )
      await tracesOf('good', SENT.good + 1)
      expect(stderr.split('\n').filter((line) => !line.startsWith('afterspan: task "') && line !== '')).toEqual([])
    })
  },
)

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
