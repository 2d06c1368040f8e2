import type { TimeRange } from '@grafana/data'
import type { Dashboard, Order, Variable } from './model.ts'
import * as prometheus from './prometheus.ts'

/** `$name`, `${name}`, `${name:format}`, `[[name]]`. */
const REFERENCE = /\$(\w+)|\[\[(\w+?)(?::\w+)?\]\]|\$\{(\w+)(?:\.[^:}]+)?(?::([^}]+))?\}/g

export interface Chosen {
  readonly variable: Variable
  readonly values: readonly string[]
  readonly all: boolean
}

/** The dashboard's variables with their values, and how they go into queries. */
export class Variables {
  readonly chosen: readonly Chosen[]

  private constructor(chosen: readonly Chosen[]) {
    this.chosen = chosen
  }

  static async resolve(dashboard: Dashboard, order: Order, time: TimeRange): Promise<Variables> {
    let known = new Variables([])
    for (const variable of dashboard.templating?.list ?? []) {
      const options = await optionsOf(variable, known, time)
      known = new Variables([...known.chosen, choose(variable, options, order.variables[variable.name])])
    }
    return known
  }

  /** In PromQL a variable that may have several values is a regular expression. */
  query(text: string, built: Readonly<Record<string, string>>): string {
    return this.replace(text, built, ({ variable, values, all }) => {
      if (all && variable.allValue) return variable.allValue
      if (!variable.multi && !variable.includeAll) return escapeString(values[0] ?? '')
      const escaped = values.map(escapeRegex)
      return escaped.length === 1 ? escaped[0]! : `(${escaped.join('|')})`
    })
  }

  text(text: string, built: Readonly<Record<string, string>> = {}): string {
    return this.replace(text, built, ({ values }) => values.join(' + '))
  }

  private replace(text: string, built: Readonly<Record<string, string>>, format: (chosen: Chosen) => string): string {
    return text.replace(REFERENCE, (match, plain, brackets, braces, style) => {
      const name: string = plain ?? brackets ?? braces
      if (name in built) return built[name]!
      const chosen = this.chosen.find(({ variable }) => variable.name === name)
      if (chosen === undefined) return match
      if (style === 'queryparam')
        return chosen.values.map((value) => `var-${name}=${encodeURIComponent(value)}`).join('&')
      return style === 'raw' ? chosen.values.join(',') : format(chosen)
    })
  }
}

function queryOf({ query }: Variable): string {
  return (typeof query === 'string' ? query : query?.query) ?? ''
}

async function optionsOf(variable: Variable, known: Variables, time: TimeRange): Promise<string[]> {
  switch (variable.type) {
    case 'datasource':
      return ['Prometheus']
    case 'query':
      return filtered(await queried(known.query(queryOf(variable), {}), time), variable)
    case 'custom':
    case 'interval':
      return queryOf(variable)
        .split(',')
        .map((option) => option.trim())
    default:
      return [queryOf(variable)]
  }
}

async function queried(query: string, time: TimeRange): Promise<string[]> {
  const found = /^label_values\((?:(.+),)?\s*(\w+)\s*\)$/.exec(query)
  if (found === null) throw new Error(`only label_values() is drawn: ${query}`)
  const [, selector = '{__name__!=""}', label = ''] = found
  return prometheus.labelValues(selector, label, time.from.valueOf() / 1000, time.to.valueOf() / 1000)
}

function filtered(values: readonly string[], { regex, sort }: Variable): string[] {
  let options = [...values]
  if (regex) {
    const [, pattern = regex, flags = ''] = /^\/(.*)\/(\w*)$/.exec(regex) ?? []
    const matches = options.map((option) => new RegExp(pattern, flags.replace('g', '')).exec(option))
    // As Grafana: without a group what matches is kept as it is.
    options = matches.filter((match) => match !== null).map((match) => match[1] ?? match.input)
  }
  if (sort) options.sort()
  return [...new Set(options)]
}

function choose(variable: Variable, options: readonly string[], given: readonly string[] | undefined): Chosen {
  const saved = variable.current?.value
  const wanted = given ?? (saved === undefined ? [] : [saved].flat())
  const all = wanted.length > 0 ? wanted.includes('$__all') : Boolean(variable.includeAll)
  if (all) return { variable, values: options, all }
  return { variable, values: wanted.length > 0 ? wanted : options.slice(0, 1), all }
}

function escapeString(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/'/g, "\\\\'")
}

function escapeRegex(value: string): string {
  return value.replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&')
}
