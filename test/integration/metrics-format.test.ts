import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { ResourceMetrics } from '../../src/metrics/families.ts'
import { serialize } from '../../src/metrics/serialize.ts'
import { CONTENT_TYPES, type Format } from '../../src/metrics/text.ts'
import { METRICS } from '../../src/telemetry/catalogue.ts'
import { ExemplarStore } from '../../src/telemetry/exemplars.ts'
import { forBothWays, hostile } from '../metrics/arbitrary.ts'
import { collected, explicit, type Metric } from '../metrics/collected.ts'
import { otlp } from '../metrics/otlp.ts'
import { describeWith, type Prometheus, promtool, python, startPrometheus, until } from './harness/backends.ts'

const noExemplars = new ExemplarStore()
const text = (metrics: ResourceMetrics, format: Format, exemplars = noExemplars) =>
  serialize(metrics, { format, exemplars })

/** Every metric of the catalogue with one series, and its exemplars. */
function wholeCatalogue(): { metrics: ResourceMetrics; store: ExemplarStore } {
  const store = new ExemplarStore()
  const metrics = Object.values(METRICS).map(({ name, unit, description, kind, attributes }): Metric => {
    const set = Object.fromEntries(attributes.map((attribute) => [attribute, `some ${attribute}`]))
    if (kind === 'histogram') {
      for (const value of [0.005, 0.5, 5])
        store.series(name, { ...set }).note(value, { traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8), traceFlags: 1 })
    }
    return {
      name,
      unit,
      description,
      type: kind === 'histogram' || kind === 'gauge' ? kind : 'sum',
      monotonic: kind === 'counter',
      points: [{ attributes: set, value: kind === 'histogram' ? explicit([0.01, 1], [1, 1, 1], 5.505) : 1 }],
    }
  })
  return { metrics: collected({ scope: 'afterspan', metrics }), store }
}

/** Parses documents with Prometheus' own client. */
function parsePython(
  documents: readonly string[],
  format: Format,
): { error?: string; samples: number; exemplars: [string, string][]; names: string[] }[] {
  const program = `
import json, sys
if sys.argv[1] == 'openmetrics':
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
else:
    from prometheus_client.parser import text_string_to_metric_families
for document in json.load(sys.stdin):
    try:
        samples = [s for family in text_string_to_metric_families(document) for s in family.samples]
        print(json.dumps({'samples': len(samples), 'names': sorted({s.name for s in samples}), 'exemplars': [[s.name, s.exemplar.labels['trace_id']] for s in samples if s.exemplar]}))
    except Exception as error:
        print(json.dumps({'error': repr(error), 'samples': 0, 'exemplars': [], 'names': []}))
`
  const output = execFileSync(python()!, ['-c', program, format], {
    input: JSON.stringify(documents),
    encoding: 'utf8',
    maxBuffer: 1e8,
  })
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

describeWith(['promtool', 'python'], 'the text of /metrics, as others read it', () => {
  test('promtool has no complaint about the plain text of the whole catalogue', () => {
    const { metrics, store } = wholeCatalogue()
    expect(promtool(['check', 'metrics'], text(metrics, 'plain', store))).toBe('')
    expect(() => promtool(['check', 'metrics'], 'broken{ 1\n')).toThrow()
  })

  test("Prometheus' Python client reads the OpenMetrics text, with an exemplar on each bucket, and the names are those of the catalogue", () => {
    const { metrics, store } = wholeCatalogue()
    const [parsed] = parsePython([text(metrics, 'openmetrics', store)], 'openmetrics')
    expect(parsed!.error).toBeUndefined()
    const expected = Object.values(METRICS).flatMap(({ kind, prometheus }) =>
      kind === 'histogram' ? [`${prometheus}_bucket`, `${prometheus}_count`, `${prometheus}_sum`] : [prometheus],
    )
    expect(parsed!.names).toEqual([...expected, 'target_info'].sort())
    for (const key of ['wait', 'duration', 'effect'] as const) {
      expect(parsed!.exemplars.filter(([name]) => name === `${METRICS[key].prometheus}_bucket`)).toEqual(
        Array(3).fill([`${METRICS[key].prometheus}_bucket`, 'ab'.repeat(16)]),
      )
    }
    expect(parsePython(['# TYPE a counter\na 1\n# EOF\n'], 'openmetrics')[0]!.error).toBeDefined()
  })

  test('whatever names, units, texts, labels and values an app uses, both texts can be read', {
    timeout: 120_000,
  }, () => {
    const documents = hostile(2_000)
    for (const format of ['openmetrics', 'plain'] as const) {
      const texts = documents.map((metrics) => text(metrics, format))
      const parsed = parsePython(texts, format)
      expect(parsed).toHaveLength(texts.length)
      const refused = parsed.flatMap(({ error }, at) => (error === undefined ? [] : [`${error}\n${texts[at]}`]))
      expect(refused.slice(0, 3)).toEqual([])
    }
    for (const metrics of documents.slice(0, 100)) {
      try {
        promtool(['check', 'metrics'], text(metrics, 'plain'))
      } catch (error) {
        // Exit code 3 is advice on naming; 1 is a text that cannot be read.
        const { status, stderr } = error as { status: number; stderr: string }
        expect(status, `${stderr}\n${text(metrics, 'plain')}`).toBe(3)
      }
    }
  })
})

/** Serves texts at `/0`, `/1`, … */
async function serve(texts: readonly { body: string; format: Format }[]): Promise<string> {
  const server = createServer((request, response) => {
    const { body, format } = texts[Number(request.url!.slice(1))]!
    response.setHeader('content-type', CONTENT_TYPES[format]).end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function prometheusOf(texts: readonly { body: string; format: Format }[], flags: string[] = []) {
  const url = await serve(texts)
  const targets = texts.map((_, at) => ({ job: String(at), url, path: `/${at}` }))
  const prometheus = await startPrometheus({ targets, scrapeInterval: '1s', flags })
  onTestFinished(() => prometheus.stop())
  return prometheus
}

interface TargetHealth {
  readonly labels: { readonly job: string }
  readonly health: 'up' | 'down' | 'unknown'
  readonly lastError: string
}

/** How each target's first scrape went. */
function scraped(prometheus: Prometheus, count: number): Promise<readonly TargetHealth[]> {
  return until('every target to have been scraped', 30_000, async () => {
    const response = await fetch(`${prometheus.url}/api/v1/targets`)
    const { data } = (await response.json()) as { data: { activeTargets: TargetHealth[] } }
    const done = data.activeTargets.filter(({ health }) => health !== 'unknown')
    return done.length === count ? done : undefined
  })
}

describeWith(['prometheus'], 'the text of /metrics in a real Prometheus', () => {
  test('no name, label or value that an app uses makes the target go down', async () => {
    const texts = hostile(100).flatMap((metrics) =>
      (['openmetrics', 'plain'] as const).map((format) => ({ body: text(metrics, format), format })),
    )
    const broken = { body: '# TYPE a counter\na_total{le="1",le="2"} 1\n# EOF\n', format: 'openmetrics' as const }
    const targets = await scraped(await prometheusOf([...texts, broken]), texts.length + 1)
    const down = targets.filter(({ health }) => health === 'down')
    expect(
      down.map(({ labels, lastError }) => `${lastError}\n${[...texts, broken][Number(labels.job)]!.body}`),
    ).toEqual([expect.stringContaining('label name "le" is not unique')])
  })

  test('a metric has the names and labels that the same metric has when it comes by OTLP', async () => {
    const metrics = forBothWays()
    const prometheus = await prometheusOf(
      [
        { body: text(metrics, 'openmetrics'), format: 'openmetrics' },
        { body: text(metrics, 'plain'), format: 'plain' },
      ],
      ['--web.enable-otlp-receiver'],
    )
    const response = await fetch(`${prometheus.url}/api/v1/otlp/v1/metrics`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(otlp(metrics)),
    })
    expect([response.status, await response.text()]).toEqual([200, expect.any(String)])
    await prometheus.waitForUp()
    const [byOpenMetrics, byPlain, byOtlp] = await Promise.all(['0', '1', 'shop'].map((job) => series(prometheus, job)))
    expect(byOtlp!.length).toBeGreaterThan(500)
    expect(byOpenMetrics).toEqual(byOtlp)
    expect(byPlain).toEqual(byOtlp)
  })
})

/** Every series of a job, as text. */
async function series(prometheus: Prometheus, job: string): Promise<string[]> {
  const samples = await prometheus.query(`{job="${job}", __name__!~"up|scrape_.*|target_info"}`)
  return samples
    .map(({ labels: { job: _, instance: __, le, ...labels }, value }) => {
      // 1 is written as "1.0" in one way and as "1" in the other.
      const bound = le === undefined ? [] : [['le', Number(le.replace('+Inf', 'Infinity'))]]
      return `${JSON.stringify([...Object.entries(labels).sort(), ...bound])} ${value}`
    })
    .sort()
}
