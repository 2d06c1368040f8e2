import { BAD, bucketUpTo, ENDED, type HistogramKey, type Series } from './series.ts'

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
  key: HistogramKey,
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

const TASKS_RAN = 'background_running="true"'
const NONE_RAN = 'background_running="false"'

/** A quantile while tasks ran, and while none did; `by` as for `quantile`. */
export function withAndWithout(
  q: number,
  series: Series,
  key: 'request' | 'loopDelay',
  window: string,
  by = '',
): { ran: string; none: string } {
  return {
    ran: quantile(q, series, key, window, { by, where: [TASKS_RAN] }),
    none: quantile(q, series, key, window, { by, where: [NONE_RAN] }),
  }
}

/** By how much the p95 of requests is longer while tasks run, in seconds. Below 0 it is chance. */
export function foregroundTax(series: Series, window: string, by: string): string {
  const { ran, none } = withAndWithout(0.95, series, 'request', window, by)
  return `(${ran}) - (${none})`
}

/** The share of the time in which each task held the event loop, in the instance where that is the most. */
export function blockedShare(series: Series, window: string): string {
  return `max by (task_name) (sum by (job, instance, task_name) (rate(${series.histogram('blocked', 'sum')}[${window}])))`
}

/** How often in a minute each task held the event loop for more than 50 ms, from which length on the log tells of it too. */
export function stallsPerMinute(series: Series, window: string): string {
  const rate = (le: string) => `sum by (task_name) (rate(${series.histogram('blocked', 'bucket', le)}[${window}]))`
  return `60 * (${rate('le="+Inf"')} - ${rate(bucketUpTo(0.05))})`
}

/**
 * Figures of work that nobody declared, by route and span. What has no route says so: a table would put its rows together
 * with those of the same span in another column.
 */
export function ofUndeclared(figures: string): string {
  return `label_replace(${figures}, "http_route", "no route", "http_route", "")`
}

/** A quantile of it over all of a window, also where it was seen for the first time in it; 1: the bucket of the longest. */
export function undeclaredQuantile(q: number, series: Series, window: string): string {
  const buckets = gained(series.histogram('undeclared', 'bucket'), window)
  return ofUndeclared(`histogram_quantile(${q}, sum by (le, http_route, span_name) (${buckets})) >= 0`)
}

/** Attempts per task that ended after running: 1 without retries. */
export function amplification(series: Series, window: string, sum = 'sum'): string {
  const attempts = `${sum} (${gained(series.of('attempts'), window)})`
  const ran = `${sum} (${gained(series.of('finished', 'task_outcome=~"completed|failed"'), window)})`
  return `${attempts} / (${ran} > 0)`
}

/**
 * The same for an alert, which must not take a gap in the scrapes for a new series: a process that is younger than the window
 * has counted all that it has within it, even where another one of the same name had counted as much.
 */
export function gainedByProcess(series: Series, selector: string, minutes: number): string {
  const old = `${series.of('uptime')} >= ${60 * minutes}`
  return `(${selector} unless ${series.on('job', 'instance')} ${old}) or increase(${selector}[${minutes}m])`
}

/**
 * What the counters say must be there, less what is: 0 at every instant. `by` is a whole `by (…)`. Only tasks on engines are
 * taken and returned.
 */
export function imbalance(series: Series, by: string): string {
  const sum = (what: string) => `sum ${by} (${what})`
  const deferred = sum(series.of('deferred'))
  const orNone = (what: string) => `(${sum(what)} or 0 * ${deferred})`
  const came = `${deferred} + ${orNone(series.of('taken'))} - ${orNone(series.of('returned'))}`
  return `${came} - ${sum(series.of('finished'))} - ${sum(series.of('pending'))}`
}

/** Tasks that wait in engines; each engine's number once. */
export function waitingInEngines(series: Series): string {
  return `max by (task_name) (${series.ofEngine('engineJobs', 'engine_state="waiting"')})`
}

/**
 * Tasks that are ready and do not run, here or in an engine: to be summed up. The two have different labels, so `or` keeps
 * both.
 */
export function waiting(series: Series): string {
  return `${series.of('pending', 'task_state="ready"')} or ${waitingInEngines(series)}`
}

/** How long the oldest of those waits: to take the maximum of. */
export function oldest(series: Series): string {
  return `${series.of('oldest')} or max by (task_name) (${series.ofEngine('engineOldest')})`
}

/** Running attempts of tasks on engines, by process. */
export function runningOfEngines(series: Series): string {
  const running = series.of('pending', 'task_state="running"')
  return `${running} and ${series.on('job', 'instance', 'task_name')} ${series.of('engineConcurrency')}`
}

/** Tasks whose engine answers no process. `by` is a whole `by (…)`, here and below. */
export function engineDown(series: Series, by: string): string {
  return `max ${by} (${series.of('engineUp')}) == 0`
}

/** Tasks that wait in an engine while no process takes them. @param everywhere Where such a process might be. */
export function engineNotConsumed(series: Series, by: string, everywhere = series): string {
  const waiting = `max ${by} (${series.ofEngine('engineJobs', 'engine_state="waiting"')})`
  return `(${waiting} > 0)\nand (sum ${by} (${everywhere.of('engineConcurrency')}) == 0)`
}
