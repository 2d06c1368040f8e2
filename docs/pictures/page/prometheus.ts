/** Prometheus' HTTP API, by way of the proxy of `render.ts`. */

export type Labels = Record<string, string>
/** Seconds, and the value as text. */
export type Sample = [number, string]

export interface Series {
  readonly metric: Labels
  readonly value?: Sample
  readonly values?: readonly Sample[]
}

export interface ExemplarSeries {
  readonly seriesLabels: Labels
  readonly exemplars: readonly { readonly labels: Labels; readonly value: string; readonly timestamp: number }[]
}

export interface Alert {
  readonly labels: Labels
  readonly annotations: Labels
  readonly state: 'pending' | 'firing'
  readonly activeAt: string
}

async function get<T>(path: string, parameters: Record<string, string>): Promise<T> {
  const response = await fetch(`/prometheus/api/v1/${path}?${new URLSearchParams(parameters)}`)
  const body = (await response.json()) as { status: string; data: T; error?: string }
  if (body.status !== 'success') throw new Error(body.error ?? `${response.status} from ${path}`)
  return body.data
}

interface Result {
  readonly resultType: string
  readonly result: Series[] | Sample
}

function series({ resultType, result }: Result): Series[] {
  return resultType === 'scalar' ? [{ metric: {}, value: result as Sample }] : (result as Series[])
}

/** Times and step in seconds. */
export async function range(expr: string, start: number, end: number, step: number): Promise<Series[]> {
  const query = { query: expr, start: String(start), end: String(end), step: String(step) }
  return series(await get<Result>('query_range', query))
}

export async function instant(expr: string, time: number): Promise<Series[]> {
  return series(await get<Result>('query', { query: expr, time: String(time) }))
}

export function exemplars(expr: string, start: number, end: number): Promise<ExemplarSeries[]> {
  return get<ExemplarSeries[]>('query_exemplars', { query: expr, start: String(start), end: String(end) })
}

export function labelValues(selector: string, label: string, start: number, end: number): Promise<string[]> {
  return get<string[]>(`label/${label}/values`, { 'match[]': selector, start: String(start), end: String(end) })
}

export async function alerts(): Promise<readonly Alert[]> {
  return (await get<{ alerts: Alert[] }>('alerts', {})).alerts
}
