import { duration, type Line, type Span } from '../../image-service/demo/table.ts'
import type { SeenSpan } from './collector.ts'
import { TASKS } from './verify.ts'

interface Row {
  readonly span: SeenSpan
  readonly depth: number
}

const WIDTH = 44

/** The spans of one request and of all that came of it, in both processes: children, and attempts that are linked to a `send`. */
export function rowsOf(spans: readonly SeenSpan[], traceId: string): Row[] {
  const root = spans.find((span) => span.traceId === traceId && span.parent === undefined)
  return root === undefined ? [] : walk(spans, root, 0)
}

function walk(spans: readonly SeenSpan[], span: SeenSpan, depth: number): Row[] {
  const { traceId, spanId } = span
  const below = spans.filter(
    ({ name, parent, links, ...other }) =>
      // Jaeger shows no link at the span that it leads to; these spans are there for that, and here the attempt itself is.
      !name.startsWith('started ') &&
      ((parent === spanId && other.traceId === traceId) ||
        (span.name.startsWith('send ') && links.some((link) => link.traceId === traceId && link.spanId === spanId))),
  )
  below.sort((a, b) => a.start - b.start)
  return [{ span, depth }, ...below.flatMap((next) => walk(spans, next, depth + 1))]
}

/** Whether the trace of a paid order goes to its end: of each task, the attempt that did it is there. */
export function isWhole(rows: readonly Row[]): boolean {
  return TASKS.every((task) => rows.some(({ span }) => span.name === `process ${task}` && !span.failed))
}

/** How much a trace has to show: an attempt that was made again after its process was killed, or that failed. */
export function interest(rows: readonly Row[]): number {
  const points = ({ span }: Row): number =>
    (span.attributes['task.redelivered'] === true ? 4 : 0) + (span.failed ? 2 : 0)
  return rows.reduce((sum, row) => sum + points(row), 0) - rows.length / 1_000
}

/** The rows as text: ░ is the wait before an attempt, █ the span. */
export function waterfall(rows: readonly Row[]): Line[] {
  const first = Math.min(...rows.map(({ span }) => span.start))
  const last = Math.max(...rows.map(({ span }) => span.end))
  const scale = WIDTH / Math.max(1, last - first)
  const column = (time: number) => Math.min(WIDTH - 1, Math.max(0, Math.floor((time - first) * scale)))
  const titles = rows.map(({ span, depth }) => `${'  '.repeat(depth)}${span.name}`)
  const longest = Math.max(...titles.map(({ length }) => length))
  return rows.map(({ span }, i) => {
    const wait = Number(span.attributes['task.wait'] ?? 0)
    const [from, to] = [column(span.start), column(span.end)]
    const waits = column(span.start - wait * 1000)
    const bar = `${' '.repeat(waits)}${'░'.repeat(from - waits)}${'█'.repeat(to - from + 1)}`.padEnd(WIDTH)
    return [
      { text: `${titles[i]!.padEnd(longest)}  `, style: 'bold' },
      { text: `${span.service.padEnd(13)}  `, style: 'dim' },
      { text: bar, style: span.failed ? 'red' : 'green' },
      { text: `  ${notes(span, wait)}` },
    ] satisfies Span[]
  })
}

function notes({ name, start, end, attributes }: SeenSpan, wait: number): string {
  const attempt = attributes['task.attempt']
  const status = attributes['http.response.status_code'] ?? attributes['http.status_code']
  const delay = Number(attributes['task.delay'] ?? 0)
  return [
    duration((end - start) / 1000),
    ...(status === undefined ? [] : [String(status)]),
    ...(delay > 0 ? [`for ${duration(delay)} later`] : []),
    ...(name.startsWith('process ')
      ? [
          `attempt ${attempt}`,
          `waited ${duration(wait)}`,
          String(attributes['error.type'] ?? attributes['task.result']),
        ]
      : []),
    ...(attributes['task.redelivered'] === true ? ['redelivered'] : []),
  ].join(', ')
}
