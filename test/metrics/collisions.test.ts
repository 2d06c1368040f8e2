import { diag } from '@opentelemetry/api'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { serialize } from '../../src/metrics/serialize.ts'
import { ExemplarStore } from '../../src/telemetry/exemplars.ts'
import { collected, explicit, exponential, type Metric } from './collected.ts'

/** The samples of some metrics, each list of which has a scope of its own. */
function samples(...scopes: (Metric[] | { scope: string; version?: string; metrics: Metric[] })[]): string[] {
  const all = scopes.map((entry, at) => (Array.isArray(entry) ? { scope: `scope ${at}`, metrics: entry } : entry))
  const text = serialize(collected(...all), { format: 'openmetrics', exemplars: new ExemplarStore() })
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('target_info'))
}

const counter = (name: string, ...points: [Record<string, unknown>, number][]): Metric => ({
  name,
  type: 'sum',
  monotonic: true,
  points: points.map(([attributes, value]) => ({ attributes, value })),
})

describe('nothing that was counted is lost when names or labels become one', () => {
  test('two libraries with a metric of one name have a series each, whatever their names looked like before', () => {
    expect(samples([counter('c.d', [{}, 1])], [counter('c_d', [{}, 2])])).toEqual([
      'c_d_total{otel_scope_name="scope 0"} 1',
      'c_d_total{otel_scope_name="scope 1"} 2',
    ])
  })

  test('two versions of one library have a series each', () => {
    const of = (version: string, value: number) => ({ scope: 'lib', version, metrics: [counter('c', [{}, value])] })
    expect(samples(of('1', 1), of('2', 2))).toEqual([
      'c_total{otel_scope_name="lib",otel_scope_version="1"} 1',
      'c_total{otel_scope_name="lib",otel_scope_version="2"} 2',
    ])
  })

  test('series whose labels become one are added up; of gauges the later stays', () => {
    expect(samples([counter('c', [{ x: '' }, 1], [{}, 2]), counter('c', [{ x: undefined }, 4])])).toEqual(['c_total 7'])
    const gauge = (value: number): Metric => ({ name: 'g', type: 'gauge', points: [{ attributes: {}, value }] })
    expect(samples([gauge(1), gauge(2)])).toEqual(['g 2'])
    const histogram = (bounds: number[], counts: number[]): Metric => ({
      name: 'h',
      type: 'histogram',
      points: [{ attributes: {}, value: explicit(bounds, counts, 5) }],
    })
    expect(samples([histogram([1, 2], [1, 2, 3]), histogram([2, 4], [10, 20, 30])])).toEqual([
      'h_bucket{le="2.0"} 13',
      'h_bucket{le="+Inf"} 66',
      'h_sum 10',
      'h_count 66',
    ])
  })

  test("an attribute that has the name of one of the format's own labels gets another", () => {
    const histogram: Metric = {
      name: 'h',
      type: 'histogram',
      points: [{ attributes: { le: '5' }, value: explicit([], [1], 2) }],
    }
    expect(samples([histogram])[0]).toBe('h_bucket{exported_le="5",le="+Inf"} 1')
    expect(samples([counter('c', [{ le: '5' }, 1])])).toEqual(['c_total{le="5"} 1'])
    expect(samples([counter('c', [{ 'otel.scope.name': 'x' }, 1])], [counter('c', [{}, 2])])[0]).toBe(
      'c_total{exported_otel_scope_name="x",otel_scope_name="scope 0"} 1',
    )
  })
})

describe('what no format can carry is left out, and said', () => {
  const warn = vi.fn()
  diag.setLogger({ warn, error: vi.fn(), info: vi.fn(), debug: vi.fn(), verbose: vi.fn() })
  afterEach(() => warn.mockClear())

  test('a counter that is NaN or negative, without the rest of its metric', () => {
    expect(samples([counter('poisoned', [{ a: '1' }, Number.NaN], [{ a: '2' }, -1], [{ a: '3' }, 1])])).toEqual([
      'poisoned_total{a="3"} 1',
    ])
    expect(warn).toHaveBeenCalledTimes(1)
    expect(warn.mock.calls[0]![0]).toContain('counter poisoned')
  })

  test('a metric whose name a metric of another kind has already', () => {
    const gauge: Metric = { name: 'taken', type: 'gauge', points: [{ attributes: {}, value: 1 }] }
    for (let scrape = 0; scrape < 3; scrape++)
      expect(samples([counter('taken', [{}, 1]), gauge])).toEqual(['taken_total 1'])
    expect(warn).toHaveBeenCalledTimes(1)
    expect(warn.mock.calls[0]![0]).toContain('taken is a metric of another kind already')
  })

  test('a series whose attributes throw, without the rest', () => {
    const hostile = Object.defineProperty({}, 'x', { enumerable: true, get: () => expect.unreachable() })
    expect(samples([counter('read', [hostile, 1], [{ x: Symbol('s') }, 2], [{ x: 10n ** 20n }, 3])])).toEqual([
      'read_total{x="Symbol(s)"} 2',
      'read_total{x="100000000000000000000"} 3',
    ])
  })

  test('the sum of a histogram that may fall, and with it the count, in OpenMetrics alone', () => {
    const histogram = (sum: number): Metric => ({
      name: 'h',
      type: 'histogram',
      points: [{ attributes: {}, value: explicit([0], [2, 1], sum) }],
    })
    for (const sum of [-3, Number.NaN]) {
      expect(samples([histogram(sum)])).toEqual(['h_bucket{le="0.0"} 2', 'h_bucket{le="+Inf"} 3'])
      const plain = serialize(collected({ scope: 's', metrics: [histogram(sum)] }), {
        format: 'plain',
        exemplars: new ExemplarStore(),
      })
      expect(plain).toContain(`h_sum ${sum}\nh_count 3\n`)
    }
  })
})

describe('exponential histograms are written with explicit bounds', () => {
  const written = (value: object) => samples([{ name: 'e', type: 'exponential', points: [{ attributes: {}, value }] }])

  test('bucket i ends at 2^((i + 1) / 2^scale)', () => {
    expect(written(exponential({ scale: 1, offset: 2, counts: [1, 2], zeros: 1, sum: 8 }))).toEqual([
      'e_bucket{le="0.0"} 1',
      `e_bucket{le="${2 ** 1.5}"} 2`,
      'e_bucket{le="4.0"} 4',
      'e_bucket{le="+Inf"} 4',
      'e_sum 8',
      'e_count 4',
    ])
  })

  test('negative ones ascend, and have no sum', () => {
    expect(written(exponential({ scale: 0, offset: 0, counts: [1], negative: [1, 1], zeros: 0, sum: -4 }))).toEqual([
      'e_bucket{le="-2.0"} 1',
      'e_bucket{le="-1.0"} 2',
      'e_bucket{le="0.0"} 2',
      'e_bucket{le="2.0"} 3',
      'e_bucket{le="+Inf"} 3',
    ])
  })

  test('bounds beyond the range of a double fall together', () => {
    expect(written(exponential({ scale: -10, offset: -3, counts: [1, 1, 1, 1, 1], zeros: 0, sum: 1 }))).toEqual([
      'e_bucket{le="0.0"} 1',
      `e_bucket{le="${2 ** -1024}"} 2`,
      'e_bucket{le="1.0"} 3',
      'e_bucket{le="+Inf"} 5',
      'e_sum 1',
      'e_count 5',
    ])
  })
})
