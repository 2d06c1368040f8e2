import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse as parseYaml } from 'yaml'

const root = fileURLToPath(new URL('../../grafana/', import.meta.url))

export interface ShippedPanel {
  readonly id: number
  readonly type: string
  readonly title?: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly datasource?: unknown
  readonly targets?: readonly {
    readonly refId: string
    readonly expr: string
    readonly instant?: boolean
    readonly format?: string
    readonly legendFormat?: string
    readonly exemplar?: boolean
    readonly datasource?: unknown
  }[]
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit?: string
      readonly noValue?: string
      readonly thresholds?: { readonly steps: readonly { value: number | null; color: string }[] }
      readonly links?: readonly { title: string; url: string }[]
    }
    readonly overrides: readonly {
      readonly matcher: { readonly id: string; readonly options: string }
      readonly properties: readonly { readonly id: string; readonly value: unknown }[]
    }[]
  }
  readonly options?: Record<string, unknown>
  readonly transformations?: readonly { readonly id: string; readonly options: Record<string, unknown> }[]
}

export interface ShippedDashboard {
  readonly uid: string
  readonly title: string
  readonly panels: readonly ShippedPanel[]
  readonly templating: {
    readonly list: readonly { name: string; type: string; query: { query: string } | string; regex?: string }[]
  }
  readonly annotations: { readonly list: readonly { name: string; expr: string }[] }
}

export interface ShippedRule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly labels?: Record<string, string>
  readonly annotations?: Record<string, string>
}

/** The committed dashboards by the name of their file. */
export function dashboards(): Map<string, ShippedDashboard> {
  const files = readdirSync(join(root, 'dashboards')).filter((name) => name.endsWith('.json'))
  return new Map(files.map((name) => [name, JSON.parse(readFileSync(join(root, 'dashboards', name), 'utf8'))]))
}

export const RULE_FILES = {
  recording: join(root, 'prometheus/rules/recording.yml'),
  alerts: join(root, 'prometheus/rules/alerts.yml'),
  stock: join(root, 'prometheus/rules-stock-exporter/stock-exporter.yml'),
} as const

export function rules(file: string): ShippedRule[] {
  const { groups } = parseYaml(readFileSync(file, 'utf8')) as { groups: { rules: ShippedRule[] }[] }
  return groups.flatMap((group) => group.rules)
}

export interface ShippedQuery {
  /** Where it stands, for messages. */
  readonly where: string
  readonly expr: string
  readonly kind: 'panel' | 'variable' | 'annotation' | 'rule' | 'alert'
  readonly instant?: boolean
  readonly panel?: ShippedPanel
}

export function queriesOf(file: string, dashboard: ShippedDashboard): ShippedQuery[] {
  const queries: ShippedQuery[] = []
  for (const panel of dashboard.panels) {
    for (const target of panel.targets ?? []) {
      const where = `${file}: ${panel.title} (${target.refId})`
      queries.push({ where, expr: target.expr, kind: 'panel', instant: target.instant === true, panel })
    }
  }
  for (const { name, query } of dashboard.templating.list) {
    if (typeof query === 'string') continue
    const selector = /^label_values\((.*), (\w+)\)$/.exec(query.query)
    if (selector === null) throw new Error(`${file}: the query of $${name} is not label_values(selector, label)`)
    queries.push({ where: `${file}: $${name}`, expr: `count by (${selector[2]}) (${selector[1]})`, kind: 'variable' })
  }
  for (const { name, expr } of dashboard.annotations.list) {
    queries.push({ where: `${file}: annotation ${name}`, expr, kind: 'annotation' })
  }
  return queries
}

/** Every query that is shipped: of panels, variables, annotations, rules and alerts. */
export function allQueries(): ShippedQuery[] {
  const ofRules = Object.entries(RULE_FILES).flatMap(([name, file]) =>
    rules(file).map(
      ({ record, alert, expr, labels }): ShippedQuery => ({
        where: `${name}: ${record ?? `${alert} ${labels?.window ?? ''}`}`,
        expr,
        kind: alert === undefined ? 'rule' : 'alert',
      }),
    ),
  )
  return [...[...dashboards()].flatMap(([file, dashboard]) => queriesOf(file, dashboard)), ...ofRules]
}

/** A query with Grafana's variables filled in, as Grafana does it. */
export function filledIn(expr: string, values: Readonly<Record<string, string>>): string {
  // $1 is not Grafana's: label_replace() puts there what its pattern has found.
  return expr.replaceAll(
    /\$(?:\{(\w+)\}|([A-Za-z_]\w*))/g,
    (whole, braced: string | undefined, bare: string | undefined) => {
      const value = values[braced ?? bare ?? '']
      if (value === undefined) throw new Error(`no value for ${whole} in ${expr}`)
      return value
    },
  )
}

/** Values that make any query PromQL. */
export const ANY = {
  job: '.+',
  instance: '.*',
  task: '.*',
  route: '.*',
  __rate_interval: '5m',
  __range: '1h',
  __range_s: '3600',
}
