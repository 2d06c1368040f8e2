import { ValueType } from '@opentelemetry/api'
import { describe, expect, test } from 'vitest'
import type { ResourceMetrics } from '../../src/metrics/families.ts'
import { labelName } from '../../src/metrics/labels.ts'
import { familyName } from '../../src/metrics/names.ts'
import { serialize } from '../../src/metrics/serialize.ts'
import { ExemplarStore } from '../../src/telemetry/exemplars.ts'
import { OPENMETRICS, serveMetrics } from './serving.ts'

const withoutTarget = (body: Buffer) =>
  body
    .toString()
    .split('\n')
    .filter((line) => !line.includes('target_info'))
    .join('\n')

describe('names become those that Prometheus gives to OTLP metrics', () => {
  test.each([
    ['afterspan.task.duration', 's', 'histogram', 'afterspan_task_duration_seconds'],
    ['http.server.request.duration', 's', 'histogram', 'http_server_request_duration_seconds'],
    ['tasks', '{task}', 'counter', 'tasks'],
    ['tasks.total', '', 'counter', 'tasks'],
    ['v8js.memory.heap.used', 'By', 'gauge', 'v8js_memory_heap_used_bytes'],
    ['cpu.utilization', '1', 'gauge', 'cpu_utilization_ratio'],
    ['ratio.of.things', '1', 'counter', 'ratio_of_things'],
    ['open', '1', 'updown', 'open'],
    ['ratio.used', '1', 'gauge', 'used_ratio'],
    ['speed', 'By/s', 'gauge', 'speed_bytes_per_second'],
    ['hits', '{hit}/min', 'gauge', 'hits_per_min'],
    ['seconds.spent', 's', 'histogram', 'seconds_spent'],
    ['total.bytes', 'By', 'counter', 'bytes'],
    ['queue', '{item}s', 'gauge', 'queue'],
    ['already_seconds', 's', 'gauge', 'already_seconds'],
    ['1st', '', 'gauge', '_1st'],
    ['a..b--c', '', 'gauge', 'a_b_c'],
  ] as const)('%s in %j as a %s is %s', (name, unit, kind, expected) => {
    expect(familyName(name, unit, kind).name).toBe(expected)
  })

  test('labels', () => {
    expect(['http.route', 'a..b', '1st', '_x', '__name__', 'a😀b', ''].map(labelName)).toEqual([
      'http_route',
      'a__b',
      'key_1st',
      'key_x',
      'key__name__',
      'a_b',
      'key',
    ])
  })
})

test('both formats give every kind of instrument the same samples', async () => {
  const { meterProvider, get } = await serveMetrics()
  const meter = meterProvider.getMeter('app')
  meter.createCounter('requests', { description: 'Requests "so far"\\\nall' }).add(3, { path: '/a"\\\n' })
  meter.createUpDownCounter('open').add(-2)
  meter
    .createObservableGauge('temperature', { unit: 'Cel', valueType: ValueType.DOUBLE })
    .addCallback((result) => result.observe(20.5))
  meter
    .createHistogram('took', { unit: 's', advice: { explicitBucketBoundaries: [0.5, 1] } })
    .record(0.75, { kind: 'x' })
  const plain = await get()
  expect(plain.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(withoutTarget(plain.body)).toBe(`# HELP requests_total Requests "so far"\\\\\\nall
# TYPE requests_total counter
requests_total{path="/a\\"\\\\\\n"} 3
# HELP open 
# TYPE open gauge
open -2
# HELP temperature_celsius 
# TYPE temperature_celsius gauge
temperature_celsius 20.5
# HELP took_seconds 
# TYPE took_seconds histogram
took_seconds_bucket{kind="x",le="0.5"} 0
took_seconds_bucket{kind="x",le="1"} 1
took_seconds_bucket{kind="x",le="+Inf"} 1
took_seconds_sum{kind="x"} 0.75
took_seconds_count{kind="x"} 1
`)
  const open = await get(OPENMETRICS)
  expect(open.headers['content-type']).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
  expect(withoutTarget(open.body)).toBe(`# HELP requests Requests \\"so far\\"\\\\\\nall
# TYPE requests counter
requests_total{path="/a\\"\\\\\\n"} 3
# HELP open 
# TYPE open gauge
open -2
# HELP temperature_celsius 
# TYPE temperature_celsius gauge
# UNIT temperature_celsius celsius
temperature_celsius 20.5
# HELP took_seconds 
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_bucket{kind="x",le="0.5"} 0
took_seconds_bucket{kind="x",le="1.0"} 1
took_seconds_bucket{kind="x",le="+Inf"} 1
took_seconds_sum{kind="x"} 0.75
took_seconds_count{kind="x"} 1
# EOF
`)
})

test('a bucket carries the exemplar that lies in it, by the bounds that are written', () => {
  const store = new ExemplarStore()
  const series = store.series('afterspan.task.wait', { 'task.name': 'mail' })
  const span = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 }
  series.note(0.003, span)
  series.note(7, { ...span, spanId: 'c'.repeat(16) })
  series.note(0.2, { ...span, traceFlags: 0 })
  const metrics = {
    resource: { attributes: {} },
    scopeMetrics: [
      {
        scope: { name: 'afterspan' },
        metrics: [
          {
            descriptor: { name: 'afterspan.task.wait', unit: 's', description: '' },
            dataPointType: 0,
            dataPoints: [
              {
                attributes: { 'task.name': 'mail' },
                value: { buckets: { boundaries: [0.01, 1], counts: [1, 1, 1] }, sum: 7.203, count: 3 },
              },
            ],
          },
        ],
      },
    ],
  } as unknown as ResourceMetrics
  const lines = serialize(metrics, { format: 'openmetrics', exemplars: store })
    .split('\n')
    .filter((line) => line.includes('_bucket'))
  expect(lines[0]).toMatch(/le="0\.01"} 1 # {trace_id="a{32}",span_id="b{16}"} 0\.003 \d+\.\d{3}$/)
  expect(lines[1]).toBe('afterspan_task_wait_seconds_bucket{task_name="mail",le="1.0"} 2')
  expect(lines[2]).toMatch(/le="\+Inf"} 3 # {trace_id="a{32}",span_id="c{16}"} 7 \d+\.\d{3}$/)
  expect(serialize(metrics, { format: 'plain', exemplars: store })).not.toContain('trace_id')
})

test('two libraries with a metric of one name, two metrics that become one name, and two labels that become one stay apart or join', async () => {
  const { meterProvider, get } = await serveMetrics()
  meterProvider.getMeter('one').createCounter('hits').add(1)
  meterProvider.getMeter('two').createCounter('hits').add(2)
  meterProvider.getMeter('one').createCounter('same.name').add(1, { a: 1 })
  meterProvider.getMeter('one').createCounter('same-name').add(1, { a: 2 })
  meterProvider.getMeter('one').createUpDownCounter('same_name').add(9)
  meterProvider.getMeter('one').createUpDownCounter('same_name_total').add(9)
  meterProvider.getMeter('one').createCounter('labels').add(1, { 'a.b': 'x', 'a-b': 'y' })
  const lines = withoutTarget((await get()).body)
    .split('\n')
    .filter((line) => !line.startsWith('#') && line !== '')
  expect(lines).toEqual(
    [
      'hits_total{otel_scope_name="one"} 1',
      'same_name_total{a="1"} 1',
      'same_name_total{a="2"} 1',
      'labels_total{a_b="y;x"} 1',
      'hits_total{otel_scope_name="two"} 2',
    ].sort((a, b) => lines.indexOf(a) - lines.indexOf(b)),
  )
  const families = (await get()).body
    .toString()
    .split('\n')
    .filter((line) => line.startsWith('# TYPE'))
  expect(new Set(families).size).toBe(families.length)
})

test('values that are no numbers of JSON, and attributes that are hostile, do not break the scrape', async () => {
  const { meterProvider, get } = await serveMetrics()
  const meter = meterProvider.getMeter('app')
  meter.createObservableGauge('odd').addCallback((result) => {
    result.observe(Number.POSITIVE_INFINITY, { which: 'inf' })
    result.observe(Number.NEGATIVE_INFINITY, { which: 'minus' })
    result.observe(Number.NaN, { which: 'nan' })
    result.observe(1, { which: '\ud800', list: ['a', 'b'], empty: '' })
  })
  const lines = withoutTarget((await get()).body)
    .split('\n')
    .filter((line) => line.startsWith('odd'))
  expect(lines).toEqual([
    'odd{which="inf"} +Inf',
    'odd{which="minus"} -Inf',
    'odd{which="nan"} NaN',
    'odd{list="[\\"a\\",\\"b\\"]",which="\ufffd"} 1',
  ])
})
