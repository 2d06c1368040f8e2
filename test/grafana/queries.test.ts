import { describe, expect, test } from 'vitest'
import { generatedFiles } from '../../grafana/source/files.ts'
import { DEFAULTS } from '../../grafana/source/parameters.ts'
import { FOREIGN } from '../../grafana/source/series.ts'
import { ENGINE_STATES, OUTCOMES, PRIORITIES, RESULTS, STATES } from '../../src/model/words.ts'
import { METRICS, type MetricEntry } from '../../src/telemetry/catalogue.ts'
import { REASONS } from '../../src/telemetry/self-health.ts'
import { parse } from './promql.ts'
import { ANY, allQueries, filledIn, queriesOf, RULE_FILES, rules, type ShippedDashboard } from './shipped.ts'

const prometheusLabel = (attribute: string) => attribute.replaceAll('.', '_')

/** The labels of every series that a query may name: what is emitted, what rules record, and what Prometheus adds. */
const known = new Map<string, readonly string[]>()
for (const { prometheus, kind, attributes } of Object.values<MetricEntry>(METRICS)) {
  const labels = ['job', 'instance', ...attributes.map(prometheusLabel)]
  if (kind !== 'histogram') known.set(prometheus, labels)
  else
    for (const part of ['_bucket', '_sum', '_count'])
      known.set(prometheus + part, part === '_bucket' ? [...labels, 'le'] : labels)
}
for (const [name, { labels }] of Object.entries(FOREIGN)) known.set(name, ['job', 'instance', ...labels])
for (const { record } of rules(RULE_FILES.recording)) {
  known.set(record!, record!.startsWith('job_task_name:') ? ['job', 'task_name'] : ['job'])
}

/** The words that a label can have, where they are fixed. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  task_outcome: OUTCOMES,
  task_result: RESULTS,
  task_state: STATES,
  task_priority: PRIORITIES,
  engine_state: ENGINE_STATES,
  reason: Object.values(REASONS).flat(),
  alertstate: ['firing', 'pending'],
  background_running: ['true', 'false'],
  task_heap_estimated: ['true', 'false'],
}

const queries = allQueries().map((query) => ({ ...query, expr: filledIn(query.expr, ANY) }))

test('there are queries of every kind', () => {
  const count = (kind: string) => queries.filter((query) => query.kind === kind).length
  expect(count('panel')).toBeGreaterThan(150)
  expect(count('variable')).toBeGreaterThan(10)
  expect(count('annotation')).toBe(10)
  expect(count('rule')).toBe(31 + 33)
  expect(count('alert')).toBe(23)
})

// The rules for the stock exporter read the names without a unit; that those exist is for a real exporter to show.
describe.each(queries.filter(({ where }) => !where.startsWith('stock')))('$where', ({ expr }) => {
  test('names only series and labels that exist', () => {
    const { selectors, groupings } = parse(expr)
    expect(selectors.length).toBeGreaterThan(0)
    for (const { metric, matchers } of selectors) {
      expect([...known.keys()]).toContain(metric)
      for (const { label, op, value } of matchers) {
        expect(known.get(metric), `${metric} has the label`).toContain(label)
        const words = WORDS[label]
        if (words === undefined) continue
        for (const word of op.includes('~') ? value.split('|') : [value]) expect(words).toContain(word)
      }
    }
    for (const { labels, metrics } of groupings) {
      for (const metric of metrics) for (const label of labels) expect(known.get(metric), metric).toContain(label)
    }
  })

  test('takes what every process tells of an engine once, and from those that it answers', () => {
    const told = /afterspan_engine_(?:jobs|oldest_seconds)/g
    const once =
      /max by \(\w+(?:, \w+)*\) \(\(afterspan_engine_(?:jobs|oldest_seconds)(?:\{[^}]*\})? and on \(job, instance, task_name\) afterspan_engine_up(?:\{[^}]*\})? == 1\)\)/g
    expect(expr.match(once)?.length ?? 0).toBe(expr.match(told)?.length ?? 0)
  })

  test('takes the rate of counters, and of nothing else', () => {
    for (const { metric, rated } of parse(expr).selectors) {
      const isCounter = /(_total|_bucket|_sum|_count)$/.test(metric)
      if (isCounter && !/^job(_task_name)?:/.test(metric))
        expect(
          rated || expr.startsWith('abs(') || / - sum | unless /.test(expr) || /^count by/.test(expr),
          metric,
        ).toBe(true)
      if (rated) expect(isCounter || metric === METRICS.uptime.prometheus, `${metric} is a counter`).toBe(true)
    }
  })
})

test('the rules for the stock exporter make every name with a unit that the queries use, and no other', () => {
  const made = rules(RULE_FILES.stock).map(({ record }) => record!)
  expect(new Set(made).size).toBe(made.length)
  const used = new Set(
    queries.flatMap(({ expr, where }) =>
      where.startsWith('stock') ? [] : parse(expr).selectors.map(({ metric }) => metric),
    ),
  )
  const withUnit = [...used].filter(
    (name) =>
      /_(seconds|bytes|ratio)(_bucket|_sum|_count)?$/.test(name) &&
      !name.startsWith('scrape_') &&
      !name.startsWith('job_') &&
      !name.startsWith('job:'),
  )
  for (const name of withUnit) expect(made).toContain(name)
  for (const name of made) expect([...known.keys()]).toContain(name)
})

test('with a namespace and selectors every query has both', () => {
  const files = generatedFiles({ ...DEFAULTS, namespace: 'acme', selectors: 'cluster="eu,1",env=~"prod|stage"' })
  let count = 0
  const check = (expr: string) => {
    for (const { metric, matchers } of parse(filledIn(expr, ANY)).selectors) {
      count += 1
      const ofPrometheus = ['up', 'ALERTS', 'scrape_duration_seconds', 'scrape_samples_scraped'].includes(metric)
      expect(ofPrometheus || /^(job(_task_name)?:)?acme_/.test(metric), metric).toBe(true)
      expect(metric.startsWith('job_task_name:') || matchers.length >= 2, expr).toBe(true)
      if (matchers.length > 0) {
        expect(matchers.slice(0, 2)).toEqual([
          { label: 'cluster', op: '=', value: 'eu,1' },
          { label: 'env', op: '=~', value: 'prod|stage' },
        ])
      }
    }
  }
  for (const [path, text] of files) {
    if (path.endsWith('.json'))
      for (const { expr } of queriesOf(path, JSON.parse(text) as ShippedDashboard)) check(expr)
  }
  expect(count).toBeGreaterThan(150)
  const alerts = files.get('prometheus/rules/alerts.yml')!
  expect(alerts).toContain('by (job, task_name, cluster, env)')
  expect(alerts).toContain('acme_afterspan_task_finished_total{cluster="eu,1",env=~"prod|stage",')
  const recording = files.get('prometheus/rules/recording.yml')!
  expect(recording).toContain('record: job_task_name:acme_afterspan_task_ends:rate5m')
  expect(recording).toContain('record: job:acme_afterspan_foreground_tax_seconds:p95_rate5m')
  expect(recording).toContain('sum by (le, job, cluster, env) (rate(acme_afterspan_request_duration_seconds_bucket{')
  expect((JSON.parse(files.get('dashboards/overview.json')!) as ShippedDashboard).uid).toBe('acme-afterspan-overview')
})
