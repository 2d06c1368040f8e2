import type { SyntaxNode } from '@lezer/common'
import { parser } from '@prometheus-io/lezer-promql'

export interface Matcher {
  readonly label: string
  readonly op: string
  readonly value: string
}

export interface Selector {
  readonly metric: string
  readonly matchers: readonly Matcher[]
  /** Inside `rate`, `increase` and the like. */
  readonly rated: boolean
}

export interface Parsed {
  readonly selectors: readonly Selector[]
  /** Each `by (…)`, `on (…)` and `without (…)` with the metrics that it is about. */
  readonly groupings: readonly { readonly labels: readonly string[]; readonly metrics: readonly string[] }[]
}

const OF_COUNTERS = ['Rate', 'Increase', 'Irate', 'Resets']

/** Takes a query apart by Prometheus' own grammar. @throws Error for one that it does not accept. */
export function parse(query: string): Parsed {
  const tree = parser.parse(query)
  const text = (node: SyntaxNode) => query.slice(node.from, node.to)
  const selectors: Selector[] = []
  const groupings: { labels: string[]; metrics: string[] }[] = []

  const walk = (node: SyntaxNode, rated: boolean): string[] => {
    if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${query}`)
    if (node.name === 'VectorSelector') {
      const name = node.getChild('Identifier')
      if (name === null) throw new Error(`a selector without a name: ${query}`)
      const matchers = (node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []).map((matcher) => ({
        label: text(matcher.getChild('LabelName')!),
        op: text(matcher.getChild('MatchOp')!),
        value: JSON.parse(text(matcher.getChild('StringLiteral')!)) as string,
      }))
      selectors.push({ metric: text(name), matchers, rated })
      return [text(name)]
    }
    const isRate = node.getChild('FunctionIdentifier')?.firstChild?.name ?? ''
    const metrics: string[] = []
    const labels: string[] = []
    // What stands behind `and` and `unless` chooses series, and gives them no label.
    let chosenBy: number | undefined
    for (let child = node.firstChild; child !== null; child = child.nextSibling) {
      metrics.push(...walk(child, rated || OF_COUNTERS.includes(isRate)))
      if (child.name === 'And' || child.name === 'Unless') chosenBy = metrics.length
      if (child.name === 'AggregateModifier' || child.name === 'MatchingModifierClause') {
        for (const group of child.getChildren('GroupingLabels'))
          labels.push(...group.getChildren('LabelName').map(text))
      }
    }
    if (labels.length > 0) groupings.push({ labels, metrics })
    return metrics.slice(0, chosenBy)
  }
  walk(tree.topNode, false)
  return { selectors, groupings }
}
