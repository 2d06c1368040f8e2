import fc from 'fast-check'
import type { ResourceMetrics } from '../../src/metrics/families.ts'
import { familyName } from '../../src/metrics/names.ts'
import { METRICS } from '../../src/telemetry/catalogue.ts'
import { collected, explicit, exponential, type Metric } from './collected.ts'

const anyText = fc.string({ unit: 'binary', maxLength: 12 })
const anyAttributes = fc.dictionary(
  fc.oneof(anyText, fc.constantFrom('le', 'quantile', '__name__', 'otel.scope.name', 'job', 'a.b', 'a-b')),
  fc.oneof(anyText, fc.integer(), fc.boolean(), fc.array(anyText, { maxLength: 2 })),
  { maxKeys: 4 },
)
const anyName = fc.oneof(
  anyText,
  fc.constantFrom('same', 'same_total', 'same.bucket', 'same_bucket', 'same_sum', 'target.info', '__x__'),
)
const anyUnit = fc.oneof(anyText, fc.constantFrom('s', 'By', '1', '{x}', 'By/s', '1/s', '{x}/s'))
const counts = (length: number) => fc.array(fc.nat(9), { minLength: length, maxLength: length })
const anyValue: Record<Metric['type'], fc.Arbitrary<unknown>> = {
  gauge: fc.oneof(fc.double(), fc.integer()),
  sum: fc.oneof(fc.double(), fc.nat()),
  histogram: fc
    .record({
      at: fc.constantFrom([], [0.01, 1], [-1, 0, 1], [1e-9, 1e300], [1, 1, 2], [0, Number.NaN]),
      counts: counts(4),
      sum: fc.double(),
    })
    .map(({ at, counts, sum }) => explicit(at, counts.slice(0, at.length + 1), sum)),
  exponential: fc
    .record({
      scale: fc.integer({ min: -10, max: 20 }),
      offset: fc.integer({ min: -2_000, max: 2_000 }),
      counts: counts(3),
      negative: fc.oneof(fc.constant([]), counts(2)),
      zeros: fc.nat(9),
      sum: fc.double(),
    })
    .map(exponential),
}
const anyMetric = fc
  .record({
    name: anyName,
    unit: anyUnit,
    description: anyText,
    type: fc.constantFrom('gauge', 'sum', 'histogram', 'exponential'),
    monotonic: fc.boolean(),
  })
  .chain((head) =>
    fc
      .array(fc.record({ attributes: anyAttributes, value: anyValue[head.type] }), { minLength: 1, maxLength: 3 })
      .map((points): Metric => ({ ...head, points })),
  )
const anyScope = fc.record({
  scope: fc.oneof(anyText, fc.constantFrom('afterspan', 'lib')),
  version: fc.constantFrom('1', '2'),
  metrics: fc.array(anyMetric, { minLength: 1, maxLength: 4 }),
})
/** What an app, or someone who means it ill, may record; the same at each run. */
export const hostile = (count: number) =>
  fc
    .sample(fc.array(anyScope, { minLength: 1, maxLength: 3 }), { numRuns: count, seed: 42 })
    .map((scopes) => collected(...scopes))

/** The catalogue, and metrics of all kinds under names, units and labels that the SDK lets through; no two become one. */
export function forBothWays(): ResourceMetrics {
  const unit = fc.oneof(
    fc.constantFrom(
      '',
      's',
      'ms',
      'By',
      '1',
      '%',
      '{task}',
      'By/s',
      '1/s',
      '{x}/s',
      'KiBy/mo',
      'Cel',
      'TBy',
      '$',
      'a b/c d',
    ),
    fc.string({ unit: 'grapheme-ascii', maxLength: 5 }),
  )
  const word = fc.oneof(
    fc.constantFrom('seconds', 'total', 'ratio', 'bytes', 'per', 'second'),
    fc.stringMatching(/^[a-zA-Z0-9_.\-/]{1,6}$/),
  )
  const metric = fc
    .record({
      words: fc.array(word, { minLength: 1, maxLength: 4 }),
      separator: fc.constantFrom('.', '_', '-', '..'),
      unit,
      type: fc.constantFrom('gauge', 'sum', 'histogram'),
      monotonic: fc.boolean(),
    })
    .map(
      ({ words, separator, unit, type, monotonic }): Metric => ({
        name: `m${words.join(separator)}`,
        unit,
        type,
        monotonic,
        points: [{ attributes: LABELS, value: type === 'histogram' ? explicit([0.5, 1, 1e6], [1, 2, 3, 4], 9) : 3 }],
      }),
    )
  const catalogue = Object.values(METRICS).map(
    ({ name, unit, kind, attributes }): Metric => ({
      name,
      unit,
      type: kind === 'histogram' || kind === 'gauge' ? kind : 'sum',
      monotonic: kind === 'counter',
      points: [
        {
          attributes: Object.fromEntries(attributes.map((attribute) => [attribute, 'x'])),
          value: kind === 'histogram' ? explicit([0.5, 1], [1, 2, 3], 9) : 3,
        },
      ],
    }),
  )
  const seen = new Set<string>()
  const metrics = [...catalogue, ...fc.sample(metric, { numRuns: 400, seed: 42 })].filter(
    ({ name, unit = '', type }) => {
      const base = familyName(name, unit, type === 'sum' ? 'updown' : (type as 'gauge')).name.replace(
        /_(total|ratio)(?=_|$)/g,
        '',
      )
      return !seen.has(base) && seen.add(base)
    },
  )
  return collected({ scope: 'app', metrics })
}

const LABELS = {
  'http.route': '/a',
  'a..b': '"\\\n',
  _x: 'é',
  '1a': '😀',
  'a-b': '2',
  'a.b': '1',
  é: 'x',
  empty: '',
  list: ['a', 'b'],
  n: 1.5,
}
