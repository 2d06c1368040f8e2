/** The figures as a table: one row per cell, in a terminal and in Markdown. */

import { MODES, WORKS } from './cells.ts'
import type { CellResult, Figures } from './measure.ts'

interface Column {
  readonly title: string
  readonly of: keyof Figures
  readonly digits: number
}

const COLUMNS: readonly Column[] = [
  { title: 'tasks/s', of: 'tasksPerSecond', digits: 1 },
  { title: 'run p50', of: 'run', digits: 1 },
  { title: 'effect p50', of: 'effectP50', digits: 1 },
  { title: 'effect p95', of: 'effectP95', digits: 1 },
  { title: '/ping p50', of: 'pingP50', digits: 2 },
  { title: '/ping p99', of: 'pingP99', digits: 2 },
  { title: 'idle p99', of: 'idleP99', digits: 2 },
  { title: 'p99 : idle', of: 'ratio', digits: 1 },
  { title: 'RSS MB', of: 'rss', digits: 0 },
  { title: 'CPU s', of: 'cpu', digits: 2 },
]

const HEAD = ['work', 'handler', ...COLUMNS.map(({ title }) => title)]

function rowOf(cell: CellResult): string[] {
  const name = [WORKS[cell.work], MODES[cell.mode]]
  const { failed, median } = cell
  if (median === undefined) return [...name, `failed: ${failed}`]
  return [...name, ...COLUMNS.map(({ of, digits }) => median[of].toFixed(digits))]
}

/** In columns; times in ms. */
export function textTable(cells: readonly CellResult[]): string {
  const rows = [HEAD, ...cells.map(rowOf)]
  // A cell that has failed has one long text in place of its figures.
  const widths = HEAD.map((_, column) =>
    Math.max(...rows.map((row) => (column < 2 || row.length === HEAD.length ? row[column]!.length : 0))),
  )
  const line = (row: string[]) =>
    row.map((text, column) => (column < 2 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!))).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}

/** For `docs/`; of cells that have figures. */
export function markdownTable(cells: readonly CellResult[]): string {
  const rule = HEAD.map((_, column) => (column < 2 ? '---' : '--:'))
  return [HEAD, rule, ...cells.map(rowOf)].map((row) => `| ${row.join(' | ')} |`).join('\n')
}
