import { SECONDS_BUCKETS } from '../../src/telemetry/catalogue.ts'

/** When a figure is wrong enough to colour a panel or to wake somebody. */
export interface Thresholds {
  /** The share of tasks that must not fail or be dropped: 0.5 to 0.99999. */
  readonly failureObjective: number
  /** The share of completed tasks whose effect must come in time: 0.5 to 0.99999. */
  readonly effectObjective: number
  /** In time, in seconds: one of the bounds of the histogram's buckets. */
  readonly effectWithin: number
  /** Failures (or late effects) that there must be before an alert fires, so that one failure of a rare task wakes nobody: from 1. */
  readonly minimumBad: number
  /** How long a task may be ready and not start, in its process or in its engine, in seconds: from 1. */
  readonly oldest: number
  /** The share of the slots that may be taken for 10 minutes while tasks wait: above 0, to 1. */
  readonly saturation: number
  /** How many attempts a task may take on average: above 1. */
  readonly amplification: number
  /** How long a task may be deferred without any of it finishing, in minutes: from 1. */
  readonly deadAfter: number
  /** How many attempts of a task may run on after their timeout: from 0. */
  readonly zombies: number
  /** How often a process may start anew within 15 minutes: from 1. */
  readonly restarts: number
}

/** What the files depend on. */
export interface Parameters {
  /** The uid of the Prometheus data source that is chosen first; '' leaves it to Grafana's default. */
  readonly datasource: string
  /** Where Jaeger's page is, for links; '' for no links. */
  readonly jaeger: string
  /** Label matchers that every query gets, such as `cluster="eu"`; '' for none. */
  readonly selectors: string
  /** What the collector or exporter puts before every metric's name, without the underscore; '' for nothing. */
  readonly namespace: string
  /** Where the runbooks are: what stands before `#alertname`. */
  readonly runbooks: string
  readonly thresholds: Thresholds
}

export const DEFAULTS: Parameters = {
  datasource: '',
  jaeger: 'http://localhost:16686',
  selectors: '',
  namespace: '',
  runbooks: 'docs/runbooks.md',
  thresholds: {
    failureObjective: 0.99,
    effectObjective: 0.99,
    effectWithin: 30,
    minimumBad: 5,
    oldest: 300,
    saturation: 0.9,
    amplification: 2,
    deadAfter: 15,
    zombies: 0,
    restarts: 3,
  },
}

/** A parameter that cannot be used; the message says which, why, and what would do. */
export class ParameterError extends Error {
  override readonly name = 'ParameterError'
}

const LABEL_MATCHER = /^[a-zA-Z_][a-zA-Z0-9_]*\s*(=|!=|=~|!~)\s*"(?:[^"\\\n]|\\.)*"$/
/** At commas outside of quotes. */
const BETWEEN_MATCHERS = /,(?=(?:[^"]*"[^"]*")*[^"]*$)/

function matchersOf(selectors: string): string[] {
  return selectors === '' ? [] : selectors.split(BETWEEN_MATCHERS).map((matcher) => matcher.trim())
}

/** The label names that the selectors use. */
export function selectorLabels(selectors: string): string[] {
  return matchersOf(selectors).map((matcher) => /^\w*/.exec(matcher)![0])
}

/** The name of a dashboard or group of rules, apart from those of another namespace. */
export function named({ namespace }: Parameters, name: string): string {
  return `${namespace === '' ? '' : `${namespace}-`}afterspan-${name}`
}

/** @throws ParameterError */
export function checkParameters(given: Parameters): void {
  const { datasource, jaeger, selectors, namespace, thresholds } = given
  if (!/^[a-zA-Z0-9_-]{0,40}$/.test(datasource)) {
    throw new ParameterError(`datasource: "${datasource}" is not a uid: up to 40 letters, digits, "-" and "_".`)
  }
  if (jaeger !== '' && !isHttp(jaeger)) {
    throw new ParameterError(`jaeger: "${jaeger}" is not an http or https URL, such as http://localhost:16686.`)
  }
  for (const matcher of matchersOf(selectors)) {
    if (!LABEL_MATCHER.test(matcher)) {
      throw new ParameterError(`selectors: ${matcher || '""'} is not a label matcher such as cluster="eu".`)
    }
  }
  for (const label of selectorLabels(selectors)) {
    if (['job', 'instance', 'task_name', 'http_route', 'le', '__name__'].includes(label)) {
      throw new ParameterError(`selectors: the queries choose "${label}" themselves; give other labels only.`)
    }
  }
  if (!/^([a-zA-Z][a-zA-Z0-9_]{0,19})?$/.test(namespace)) {
    throw new ParameterError(
      `namespace: "${namespace}" cannot begin a metric's name: a letter, then up to 19 letters, digits and "_".`,
    )
  }
  const within = (name: keyof Thresholds, what: string, ok: (value: number) => boolean) => {
    const value = thresholds[name]
    if (!Number.isFinite(value) || !ok(value)) throw new ParameterError(`${name}: ${value} is not ${what}.`)
  }
  const objective = (value: number) => value >= 0.5 && value <= 0.99999
  within('failureObjective', 'a share from 0.5 to 0.99999, such as 0.99', objective)
  within('effectObjective', 'a share from 0.5 to 0.99999, such as 0.99', objective)
  within('effectWithin', `the bound of a bucket: ${SECONDS_BUCKETS.join(', ')} (seconds)`, (value) =>
    SECONDS_BUCKETS.includes(value),
  )
  within('minimumBad', 'a number from 1', (value) => value >= 1)
  within('oldest', 'a number of seconds from 1', (value) => value >= 1)
  within('saturation', 'a share above 0, up to 1', (value) => value > 0 && value <= 1)
  within('amplification', 'a number above 1', (value) => value > 1)
  within('deadAfter', 'a whole number of minutes from 1', (value) => Number.isInteger(value) && value >= 1)
  within('zombies', 'a number from 0', (value) => value >= 0)
  within('restarts', 'a number from 1', (value) => value >= 1)
}

function isHttp(url: string): boolean {
  try {
    return ['http:', 'https:'].includes(new URL(url).protocol)
  } catch {
    return false
  }
}
