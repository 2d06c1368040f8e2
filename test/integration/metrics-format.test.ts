import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { familiesOf, type ResourceMetrics } from '../../src/metrics/families.ts'
import { write } from '../../src/metrics/text.ts'
import { METRICS } from '../../src/telemetry/catalogue.ts'
import { ExemplarStore } from '../../src/telemetry/exemplars.ts'
import { describeWith, promtool, python } from './harness/backends.ts'

type Point = { attributes: Record<string, unknown>; value: unknown }

function collected(
  metrics: { name: string; unit: string; description: string; type: number; monotonic: boolean; points: Point[] }[],
): ResourceMetrics {
  return {
    resource: { attributes: { 'service.name': 'shop', 'service.instance.id': 'a"b\n' } },
    scopeMetrics: [
      {
        scope: { name: 'afterspan' },
        metrics: metrics.map(({ name, unit, description, type, monotonic, points }) => ({
          descriptor: { name, unit, description },
          dataPointType: type,
          isMonotonic: monotonic,
          dataPoints: points,
        })),
      },
    ],
  } as unknown as ResourceMetrics
}

const histogram = (values: number[], boundaries = [0.01, 1]) => {
  const counts = [...boundaries, Number.POSITIVE_INFINITY].map(
    (bound, at) =>
      values.filter((value) => value <= bound && value > (boundaries[at - 1] ?? Number.NEGATIVE_INFINITY)).length,
  )
  return { buckets: { boundaries, counts }, count: values.length, sum: values.reduce((sum, value) => sum + value, 0) }
}

/** Every metric of the catalogue with one series, and its exemplars. */
function wholeCatalogue(): { metrics: ResourceMetrics; store: ExemplarStore } {
  const store = new ExemplarStore()
  const metrics = Object.values(METRICS).map(({ name, unit, description, kind, attributes }) => {
    const set = Object.fromEntries(attributes.map((attribute) => [attribute, `some ${attribute}`]))
    if (kind === 'histogram') {
      for (const value of [0.005, 0.5, 5])
        store.series(name, { ...set }).note(value, { traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8), traceFlags: 1 })
    }
    return {
      name,
      unit,
      description,
      type: kind === 'histogram' ? 0 : kind === 'gauge' ? 2 : 3,
      monotonic: kind === 'counter',
      points: [{ attributes: set, value: kind === 'histogram' ? histogram([0.005, 0.5, 5]) : 1 }],
    }
  })
  return { metrics: collected(metrics), store }
}

/** Parses documents, separated by NUL, with Prometheus' own client; one line of JSON for each. */
function parsePython(
  documents: readonly string[],
  parser: 'openmetrics' | 'plain',
): { error?: string; samples: number; exemplars: [string, string][]; names: string[] }[] {
  const program = `
import json, sys
if sys.argv[1] == 'openmetrics':
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
else:
    from prometheus_client.parser import text_string_to_metric_families
for document in sys.stdin.buffer.read().decode('utf-8').split('\\0'):
    try:
        samples = [s for family in text_string_to_metric_families(document) for s in family.samples]
        print(json.dumps({'samples': len(samples), 'names': sorted({s.name for s in samples}), 'exemplars': [[s.name, s.exemplar.labels['trace_id']] for s in samples if s.exemplar]}))
    except Exception as error:
        print(json.dumps({'error': repr(error), 'samples': 0, 'exemplars': [], 'names': []}))
`
  const output = execFileSync(python()!, ['-c', program, parser], {
    input: documents.join('\0'),
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
    expect(promtool(['check', 'metrics'], write(familiesOf(metrics, store), 'plain'))).toBe('')
    expect(() => promtool(['check', 'metrics'], 'broken{ 1\n')).toThrow()
  })

  test("Prometheus' Python client reads the OpenMetrics text, with an exemplar on each bucket, and the names are those of the catalogue", () => {
    const { metrics, store } = wholeCatalogue()
    const [parsed] = parsePython([write(familiesOf(metrics, store), 'openmetrics')], 'openmetrics')
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

  test('whatever names, units, texts, labels and values an app uses, both texts can be read by all three', {
    timeout: 120_000,
  }, () => {
    const text = fc.string({ unit: 'binary', maxLength: 12 }).filter((value) => !value.includes('\0'))
    const name = fc.oneof(
      text,
      fc.constantFrom('same', 'same_total', 'same.bucket', 'same_bucket', 'same_sum', 'target.info', '__x__'),
    )
    const value = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY))
    const attributes = fc.dictionary(
      text,
      fc.oneof(text, fc.integer(), fc.boolean(), fc.array(text, { maxLength: 2 })),
      { maxKeys: 4 },
    )
    const metric: fc.Arbitrary<Parameters<typeof collected>[0][number]> = fc
      .record({
        name,
        unit: fc.oneof(text, fc.constantFrom('s', 'By', '1', '{x}', 'By/s')),
        description: text,
        type: fc.constantFrom(0, 2, 3),
        monotonic: fc.boolean(),
      })
      .chain((head) =>
        fc
          .array<Point>(
            head.type === 0
              ? fc.record({
                  attributes,
                  value: fc
                    .array(fc.double({ min: 0, max: 1e6, noNaN: true }), { maxLength: 5 })
                    .map((values) => histogram(values)),
                })
              : fc.record({ attributes, value: head.type === 3 && head.monotonic ? fc.nat() : value }),
            { minLength: 1, maxLength: 3 },
          )
          .map((points) => ({ ...head, points })),
      )
    const documents = fc
      .sample(fc.array(metric, { minLength: 1, maxLength: 6 }), { numRuns: 2_000, seed: 42 })
      .map((metrics) => familiesOf(collected(metrics), new ExemplarStore()))
    for (const format of ['openmetrics', 'plain'] as const) {
      const texts = documents.map((families) => write(families, format))
      const parsed = parsePython(texts, format)
      expect(parsed).toHaveLength(texts.length)
      const refused = parsed.flatMap(({ error }, at) => (error === undefined ? [] : [`${error}\n${texts[at]}`]))
      expect(refused.slice(0, 3)).toEqual([])
    }
    for (const families of documents.slice(0, 100)) {
      try {
        promtool(['check', 'metrics'], write(families, 'plain'))
      } catch (error) {
        // Exit code 3 is advice on naming; 1 is a text that cannot be read.
        const { status, stderr } = error as { status: number; stderr: string }
        expect(status, `${stderr}\n${write(families, 'plain')}`).toBe(3)
      }
    }
  })
})
