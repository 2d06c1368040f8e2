import { BAD, ENDED, type Series } from './series.ts'

/** The dashboard's own step: at least four scrapes. */
export const STEP = '$__rate_interval'
/** All of the time range that is chosen. */
export const RANGE = '$__range'

/** `sum`, or `sum by (…)`. */
export function sumBy(labels: string): string {
  return labels === '' ? 'sum' : `sum by (${labels})`
}

/** Failed and dropped tasks in all that ended but were not cancelled; nothing where none did. */
export function failureRatio(series: Series, window: string, by = '', offset = ''): string {
  const sum = sumBy(by)
  const bad = `${sum} (increase(${series.of('finished', BAD)}[${window}]${offset}))`
  const ended = `${sum} (increase(${series.of('finished', ENDED)}[${window}]${offset}))`
  return `${bad} / (${ended} > 0)`
}

/** A quantile over the chosen series; `by` are the labels that stay. */
export function quantile(
  q: number,
  series: Series,
  key: 'wait' | 'duration' | 'effect',
  window: string,
  { by = '', offset = '', where = [] }: { by?: string; offset?: string; where?: string[] } = {},
): string {
  const labels = by === '' ? 'le' : `le, ${by}`
  return `histogram_quantile(${q}, sum by (${labels}) (rate(${series.histogram(key, 'bucket', ...where)}[${window}]${offset}))) >= 0`
}

/**
 * How much a counter has grown, for counters whose series begin at their first count: an error type or route that was never
 * seen before. `increase()` does not see that first count, nor all that came before the first scrape of it; the series that
 * are younger than the window are therefore taken as they are.
 */
export function gained(selector: string, window: string): string {
  return `(${selector} unless ${selector} offset ${window}) or increase(${selector}[${window}])`
}

/** Attempts per task that ended after running: 1 without retries. */
export function amplification(series: Series, window: string, sum = 'sum'): string {
  const attempts = `${sum} (${gained(series.of('attempts'), window)})`
  const ran = `${sum} (${gained(series.of('finished', 'task_outcome=~"completed|failed"'), window)})`
  return `${attempts} / (${ran} > 0)`
}

/** What the counters say must be there, less what is: 0 at every instant. `by` is a whole `by (…)`. */
export function imbalance(series: Series, by: string): string {
  const sum = (what: string) => `sum ${by} (${what})`
  return `${sum(series.of('deferred'))} - ${sum(series.of('finished'))} - ${sum(series.of('pending'))}`
}
