import { type DataFrame, DataFrameType, type Field, FieldType, type TimeRange } from '@grafana/data'
import type { Annotation, AnnotationQuery, Panel, PanelData, Target } from './model.ts'
import * as prometheus from './prometheus.ts'
import type { Variables } from './variables.ts'

/** Grafana's data source asks for no more points than this. */
const MOST_POINTS = 11_000

export interface Moment {
  readonly time: TimeRange
  /** Seconds. */
  readonly scrape: number
  /** Seconds: how far apart the points of a panel are. */
  step(points: number, least?: string): number
}

/** Seconds in `15s`, `1m`. */
export function seconds(interval: string): number {
  const [, amount = '15', unit = 's'] = /^(\d+(?:\.\d+)?)\s*(ms|[smhdwy])?$/.exec(interval.trim()) ?? []
  const units: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 }
  return Number(amount) * units[unit]!
}

function intervalText(length: number): string {
  return length % 1 === 0 ? `${length}s` : `${Math.round(length * 1000)}ms`
}

/** Runs a panel's queries and makes the frames that Grafana's Prometheus data source would make. */
export async function query(panel: Panel, variables: Variables, moment: Moment, width: number): Promise<PanelData> {
  const targets = (panel.targets ?? []).filter((target) => target.expr && !target.hide)
  const made = await Promise.all(targets.map((target) => run(target, panel, variables, moment, width)))
  const frames = made.flatMap((one) => one.frames)
  return { frames: shaped(frames, targets), exemplars: made.flatMap((one) => one.exemplars) }
}

async function run(
  target: Target,
  panel: Panel,
  variables: Variables,
  moment: Moment,
  width: number,
): Promise<PanelData> {
  const { time, scrape } = moment
  const points = panel.maxDataPoints ?? Math.max(1, Math.floor(width))
  const fine = moment.step(points, target.interval || panel.interval)
  const length = (time.to.valueOf() - time.from.valueOf()) / 1000
  const step = Math.max(fine, length / MOST_POINTS)
  const built = {
    __interval: intervalText(step),
    __interval_ms: String(Math.round(step * 1000)),
    __rate_interval: intervalText(Math.max(step + scrape, 4 * scrape)),
    __range: `${Math.round(length)}s`,
    __range_s: String(Math.round(length)),
    __range_ms: String(Math.round(length * 1000)),
    __from: String(time.from.valueOf()),
    __to: String(time.to.valueOf()),
  }
  const expr = variables.query(target.expr ?? '', built)
  // Grafana aligns both ends to the step, so that points stay where they are between refreshes.
  const start = Math.floor(time.from.valueOf() / 1000 / step) * step
  const end = Math.floor(time.to.valueOf() / 1000 / step) * step

  const asked: Promise<prometheus.Series[]>[] = []
  if (target.instant) asked.push(prometheus.instant(expr, time.to.valueOf() / 1000))
  if (target.range || !target.instant) asked.push(prometheus.range(expr, start, end, step))
  const exemplars = target.exemplar ? await prometheus.exemplars(expr, start, end) : []

  const frames = (await Promise.all(asked)).flatMap((result) =>
    // An empty result still is a frame: the number of frames decides whether a column is called `Value` or `Value #A`.
    result.length === 0
      ? [{ refId: target.refId, fields: [], length: 0 }]
      : result.map((series) => seriesFrame(series, target, step, expr)),
  )
  return { frames, exemplars: exemplars.length > 0 ? [exemplarFrame(exemplars, target, step)] : [] }
}

function seriesFrame(series: prometheus.Series, target: Target, step: number, expr: string): DataFrame {
  const samples = series.values ?? (series.value === undefined ? [] : [series.value])
  const name = legend(series.metric, target.legendFormat, expr)
  return {
    refId: target.refId,
    name,
    fields: [
      {
        name: 'Time',
        type: FieldType.time,
        config: { interval: step * 1000 },
        values: samples.map(([time]) => time * 1000),
      },
      {
        name: series.metric.__name__ ?? 'Value',
        type: FieldType.number,
        config: { displayNameFromDS: name },
        labels: series.metric,
        values: samples.map(([, value]) => number(value)),
      },
    ],
    length: samples.length,
  }
}

function number(text: string): number {
  return text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number.parseFloat(text)
}

function legend(labels: prometheus.Labels, format: string | undefined, expr: string): string {
  if (format && format !== '__auto') return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label) => labels[label] ?? '')
  const { __name__ = '', ...rest } = labels
  const pairs = Object.keys(rest)
    .sort()
    .map((label) => `${label}="${rest[label]}"`)
  return (pairs.length > 0 ? `${__name__}{${pairs.join(', ')}}` : __name__) || expr
}

function shaped(frames: readonly DataFrame[], targets: readonly Target[]): DataFrame[] {
  const formatOf = (frame: DataFrame) => targets.find(({ refId }) => refId === frame.refId)?.format
  const tables = frames.filter((frame) => formatOf(frame) === 'table')
  const heatmaps = frames.filter((frame) => formatOf(frame) === 'heatmap' && frame.fields.length > 0)
  const others = frames.filter((frame) => !tables.includes(frame) && formatOf(frame) !== 'heatmap')
  return [...others, ...asTables(tables), ...(heatmaps.length > 0 ? [asHeatmap(heatmaps)] : [])]
}

function asTables(frames: readonly DataFrame[]): DataFrame[] {
  const groups = Map.groupBy(frames, (frame) => frame.refId ?? '')
  return [...groups].map(([refId, group]) => {
    const series = group.filter((frame) => frame.fields.length > 0)
    const labels = [...new Set(series.flatMap((frame) => Object.keys(frame.fields[1]?.labels ?? {}).sort()))]
    const repeat = (frame: DataFrame, label: string) =>
      Array.from({ length: frame.length }, () => frame.fields[1]?.labels?.[label] ?? '')
    const fields: Field[] = [
      { name: 'Time', type: FieldType.time, config: {}, values: series.flatMap((frame) => frame.fields[0]!.values) },
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        config: { filterable: true },
        values: series.flatMap((frame) => repeat(frame, label)),
      })),
      {
        name: groups.size > 1 ? `Value #${refId}` : 'Value',
        type: FieldType.number,
        config: {},
        values: series.flatMap((frame) => frame.fields[1]!.values),
      },
    ]
    return { refId, fields, length: fields[0]!.values.length }
  })
}

/** Buckets of a histogram, each without those below it, as rows of one frame. */
function asHeatmap(frames: readonly DataFrame[]): DataFrame {
  const bound = (frame: DataFrame) => number(frame.fields[1]?.labels?.le ?? frame.name ?? '')
  const sorted = [...frames].sort((a, b) => bound(a) - bound(b))
  const times = [...new Set(sorted.flatMap((frame) => frame.fields[0]!.values as number[]))].sort((a, b) => a - b)
  const counts = sorted.map((frame) => {
    const at = new Map(frame.fields[0]!.values.map((time: number, i: number) => [time, frame.fields[1]!.values[i]]))
    return times.map((time) => (at.get(time) as number | undefined) ?? 0)
  })
  const rows = sorted.map((frame, row): Field => {
    const label = frame.fields[1]?.labels?.le ?? frame.name ?? ''
    const values = counts[row]!.map((count, i) => Math.max(0, count - (counts[row - 1]?.[i] ?? 0)))
    return { name: label, type: FieldType.number, config: {}, labels: { le: label }, values }
  })
  const time = { ...sorted[0]!.fields[0]!, values: times }
  return {
    refId: sorted[0]?.refId,
    meta: { type: DataFrameType.HeatmapRows },
    fields: [time, ...rows],
    length: times.length,
  }
}

/** In each step the highest exemplar, and those that are two standard deviations below the one before. */
function exemplarFrame(series: readonly prometheus.ExemplarSeries[], target: Target, step: number): DataFrame {
  const all = series.flatMap(({ seriesLabels, exemplars }) =>
    exemplars.map(({ labels, value, timestamp }) => ({
      time: timestamp * 1000,
      value: number(value),
      labels: { ...seriesLabels, ...labels },
    })),
  )
  const spread = deviation(all.map(({ value }) => value))
  const kept = [...Map.groupBy(all, ({ time }) => Math.floor(time / 1000 / step)).values()].flatMap((group) => {
    const chosen: typeof group = []
    for (const one of group.sort((a, b) => b.value - a.value)) {
      const last = chosen.at(-1)
      if (last === undefined || last.value - one.value > 2 * spread) chosen.push(one)
    }
    return chosen
  })
  kept.sort((a, b) => a.time - b.time)
  return {
    refId: target.refId,
    name: 'exemplar',
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: kept.map(({ time }) => time) },
      { name: 'Value', type: FieldType.number, config: {}, values: kept.map(({ value }) => value) },
      { name: 'le', type: FieldType.string, config: {}, values: kept.map(({ labels }) => labels.le ?? '') },
    ],
    length: kept.length,
  }
}

function deviation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1))
}

/** Samples that follow each other by one step are one region. */
export async function annotations(
  { name, expr = '', step = '60s', iconColor = '#00d3ff' }: AnnotationQuery,
  variables: Variables,
  { time }: Moment,
): Promise<Annotation[]> {
  const every = seconds(step)
  const start = Math.floor(time.from.valueOf() / 1000 / every) * every
  const end = Math.floor(time.to.valueOf() / 1000 / every) * every
  const found = await prometheus.range(variables.query(expr, {}), start, end, every)
  return found.flatMap(({ values = [] }) => {
    const regions: { name: string; colour: string; from: number; to: number }[] = []
    for (const [at] of values) {
      const last = regions.at(-1)
      if (last !== undefined && at * 1000 - last.to <= every * 1000) last.to = at * 1000
      else regions.push({ name, colour: iconColor, from: at * 1000, to: at * 1000 })
    }
    return regions
  })
}
