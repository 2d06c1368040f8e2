import { METRICS, type MetricEntry } from '../../../src/telemetry/catalogue.ts'
import { named, type Parameters } from '../parameters.ts'
import { FOREIGN } from '../series.ts'
import type { Group, Rule } from './rule.ts'

const SUFFIX: Readonly<Record<string, string>> = { s: '_seconds', By: '_bytes' }

/**
 * For apps whose metrics come out of a stock `PrometheusExporter`, which leaves the unit out of the names: the same series
 * under the names that everything else here uses. Not for apps that serve `metrics()` or send OTLP.
 */
export function stockExporterRules(parameters: Parameters): Group[] {
  const { namespace, selectors } = parameters
  const prefix = namespace === '' ? '' : `${namespace}_`
  const braces = selectors === '' ? '' : `{${selectors}}`
  const rule = (full: string, stock: string): Rule => ({ record: prefix + full, expr: `${prefix}${stock}${braces}` })

  const ours = Object.values<MetricEntry>(METRICS).flatMap(({ prometheus, unit, kind }) => {
    const suffix = SUFFIX[unit]
    if (suffix === undefined) return []
    const stock = prometheus.replace(new RegExp(`${suffix}(_total)?$`), '$1')
    const parts = kind === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
    return parts.map((part) => rule(prometheus + part, stock + part))
  })
  const others = Object.keys(FOREIGN)
    .map((name) => ({ name, stock: name.replace(/_(seconds|bytes|ratio)$/, '') }))
    .filter(({ name, stock }) => name !== stock && !FOREIGN[name as keyof typeof FOREIGN].ofPrometheus)
    .map(({ name, stock }) => rule(name, stock))
  return [{ name: named(parameters, 'stock-exporter'), rules: [...ours, ...others] }]
}
