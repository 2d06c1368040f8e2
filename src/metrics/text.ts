import type { Exemplar } from '../telemetry/exemplars.ts'
import type { Buckets } from './buckets.ts'
import type { Family, Series } from './families.ts'
import { escapeLabel } from './labels.ts'

/** The two texts that Prometheus scrapes. */
export type Format = 'openmetrics' | 'plain'

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  plain: 'text/plain; version=0.0.4; charset=utf-8',
}

/**
 * Writes families in OpenMetrics 1.0, with exemplars, or in the plain format 0.0.4, without. Both give each sample the same
 * name and value.
 */
export function write(families: readonly Family[], format: Format): string {
  const lines: string[] = []
  // Every series repeats the bounds: written once, they halve the time of a large scrape (1,900 histograms: 39 to 19 ms).
  const les = new Map<number, string>()
  const le = (bound: number) => {
    let text = les.get(bound)
    if (text === undefined) {
      text = `le="${format === 'openmetrics' ? float(bound) : number(bound)}"`
      les.set(bound, text)
    }
    return text
  }
  for (const family of families) {
    // OpenMetrics names a counter's family without the suffix of its samples, the plain format with it.
    const name = family.kind === 'counter' && format === 'plain' ? `${family.name}_total` : family.name
    lines.push(`# HELP ${name} ${escapeHelp(family.help, format)}`, `# TYPE ${name} ${family.kind}`)
    if (format === 'openmetrics' && family.unit !== '' && name.endsWith(`_${family.unit}`))
      lines.push(`# UNIT ${name} ${family.unit}`)
    for (const series of family.series.values()) {
      if (typeof series.value === 'object') writeHistogram(lines, family.name, series, series.value, format, le)
      else
        lines.push(
          sample(family.kind === 'counter' ? `${family.name}_total` : family.name, series.labels, series.value),
        )
    }
  }
  if (format === 'openmetrics') lines.push('# EOF')
  return `${lines.join('\n')}\n`
}

function writeHistogram(
  lines: string[],
  name: string,
  { labels, exemplars }: Series,
  buckets: Buckets,
  format: Format,
  le: (bound: number) => string,
): void {
  const { bounds, counts, sum } = buckets
  const start = labels === '' ? `${name}_bucket{` : `${name}_bucket{${labels},`
  for (const [at, bound] of bounds.entries()) {
    const line = `${start}${le(bound)}} ${number(counts[at]!)}`
    const exemplar =
      format === 'openmetrics' ? exemplars?.within(bounds[at - 1] ?? Number.NEGATIVE_INFINITY, bound) : undefined
    lines.push(exemplar === undefined ? line : line + exemplarText(exemplar))
  }
  const count = counts.at(-1)!
  // OpenMetrics forbids a sum that may fall or is no number, and a count without a sum: the last bucket has it.
  const hasSum = sum !== undefined && (format === 'plain' || (bounds[0]! >= 0 && sum >= 0))
  if (hasSum) lines.push(sample(`${name}_sum`, labels, sum))
  if (hasSum || format === 'plain') lines.push(sample(`${name}_count`, labels, count))
}

function sample(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${number(value)}` : `${name}{${labels}} ${number(value)}`
}

function exemplarText({ traceId, spanId, value, at }: Exemplar): string {
  const labels = `trace_id="${escapeLabel(traceId)}",span_id="${escapeLabel(spanId)}"`
  return ` # {${labels}} ${number(value)} ${(at / 1000).toFixed(3)}`
}

function number(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  if (value === Number.NEGATIVE_INFINITY) return '-Inf'
  return String(value)
}

/** A bucket's bound in OpenMetrics' canonical form, in which 1 is `1.0`. */
function float(value: number): string {
  const plain = number(value)
  return /^-?\d+$/.test(plain) ? `${plain}.0` : plain
}

function escapeHelp(help: string, format: Format): string {
  const escaped = help.toWellFormed().replace(/\\/g, '\\\\').replace(/\n/g, '\\n')
  return format === 'openmetrics' ? escaped.replace(/"/g, '\\"') : escaped
}
