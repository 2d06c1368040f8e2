import { describe, expect, test } from 'vitest'
import type { TraceDetail } from '../../../src/dashboard/protocol.ts'
import { layOut, type SpanRow, ticks } from '../../../src/dashboard/ui/trace/layout.ts'
import { HOSTILE_TRACE, hostileTrace } from './mock-hostile.ts'
import { LINKED_TRACE, receiptTrace, span } from './mock-traces.ts'

const AT = 1_795_000_000_000
const trace = (spans: TraceDetail['spans'], respondedAt: number | null = null): TraceDetail => ({
  traceId: spans[0]?.traceId ?? 'none',
  spans,
  missing: 0,
  respondedAt,
})
const rows = (detail: TraceDetail, now = AT) =>
  layOut(detail, now).rows.filter((row): row is SpanRow => row.kind === 'span')

describe('the waterfall', () => {
  test('puts children below their parent, attempts one after another, and linked traces at the end below their head', () => {
    const found = layOut(receiptTrace(AT), AT).rows.map((row) =>
      row.kind === 'trace' ? `— ${row.traceId}` : `${'  '.repeat(row.depth)}${row.span.name}`,
    )
    expect(found).toEqual([
      'POST /orders',
      '  pg.query:INSERT orders',
      '  send webhooks',
      '  task warm-cache',
      '  task send-receipt',
      '    smtp.connect',
      '  task send-receipt',
      '  task send-receipt',
      `— ${LINKED_TRACE}`,
      'process webhooks',
      '  POST',
    ])
  })

  test('draws the wait before an attempt and the backoff from the end of the one before it', () => {
    const attempts = rows(receiptTrace(AT)).filter((row) => row.span.task?.name === 'send-receipt')
    expect(attempts.map(({ waitFrom, from, to }) => [waitFrom, from, to])).toEqual([
      [182, 402, 790],
      [1_070, 1_080, 1_390],
      [1_880, 1_940, 2_310],
    ])
    expect(attempts.map(({ retryFrom }) => retryFrom)).toEqual([null, 790, 1_390])
    expect(layOut(receiptTrace(AT), AT)).toMatchObject({ responded: 182, length: 2_650 })
  })

  test('begins where the first wait began, and lets what has not ended reach to now', () => {
    const task = { name: 'a', id: '1', attempt: 1, wait: 2, result: null }
    const found = layOut(trace([span('a', 'task a', AT - 500, null, { task })], AT - 3_000), AT)
    expect(found).toMatchObject({ start: AT - 3_000, length: 3_000, responded: 0 })
    expect(found.rows[0]).toMatchObject({ from: 2_500, to: 3_000, waitFrom: 500 })
  })

  test('shows spans whose parent is gone, who are their own parent, or each other’s, once each', () => {
    const found = rows(
      trace([
        span('a', 'orphan', AT - 9, AT, { parent: 'gone' }),
        span('b', 'own', AT - 8, AT, { parent: 'b' }),
        span('c', 'one', AT - 7, AT, { parent: 'd' }),
        span('d', 'other', AT - 6, AT, { parent: 'c' }),
      ]),
    )
    expect(found.map(({ span, depth }) => [span.name, depth])).toEqual([
      ['orphan', 0],
      ['own', 0],
      ['one', 0],
      ['other', 1],
    ])
    expect(rows(hostileTrace(AT))).toHaveLength(3)
    expect(rows(hostileTrace(AT)).every(({ from, to, span }) => to >= from && span.traceId === HOSTILE_TRACE)).toBe(
      true,
    )
  })

  test('of nothing is empty and of no time has still a length', () => {
    expect(layOut(trace([]), AT)).toMatchObject({ rows: [], start: AT })
    expect(layOut(trace([span('a', 'a', AT, AT)]), AT).length).toBeGreaterThan(0)
  })

  test('of 5,000 spans in a chain is laid out at once, without a stack as deep', () => {
    const chain = Array.from({ length: 5_000 }, (_, index) =>
      span(`s${index}`, `s${index}`, AT + index, AT + 9_000, { parent: index === 0 ? null : `s${index - 1}` }),
    )
    const found = rows(trace(chain))
    expect(found).toHaveLength(5_000)
    expect(Math.max(...found.map(({ depth }) => depth))).toBe(12)
  })
})

test('the lines of the axis stand at round numbers', () => {
  expect(ticks(0, 2_650, 5)).toEqual([0, 1_000, 2_000])
  expect(ticks(0, 0.9, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8])
  expect(ticks(370, 460, 5)).toEqual([380, 400, 420, 440, 460])
  expect(ticks(5, 5, 5)).toEqual([])
})
