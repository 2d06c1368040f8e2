import { type Line, type Span, table } from './table.ts'
import type { Check } from './verify.ts'

/** The checks as a table, a tick each. */
export function report(checks: readonly Check[]): Line[] {
  const cell = (check: Check, measured: number | undefined): Span => {
    if (measured === undefined) return { text: '·', style: 'dim' }
    return {
      text: Number.isNaN(measured) ? 'missing' : String(measured),
      style: measured === check.expected ? undefined : 'red',
    }
  }
  return table(
    [
      { title: 'about', align: 'left' },
      { title: 'figure', align: 'left' },
      { title: 'expected' },
      { title: '/metrics' },
      { title: 'OpenMetrics' },
      { title: '/health/tasks' },
      { title: 'driver' },
      { title: '' },
    ],
    checks.map((check, i) => [
      { text: check.about === checks[i - 1]?.about ? '' : check.about, style: 'bold' },
      check.what,
      String(check.expected),
      cell(check, check.plain),
      cell(check, check.openMetrics),
      cell(check, check.health),
      cell(check, check.driver),
      check.ok ? { text: '✓', style: 'green' } : { text: '✗', style: 'red' },
    ]),
  )
}
