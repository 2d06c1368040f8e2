import {
  type DataFrame,
  type DataTransformerConfig,
  type DataTransformerInfo,
  type Field,
  FieldType,
  isTimeSeriesFrame,
  ReducerID,
  reduceField,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data'
import { lastValueFrom, map } from 'rxjs'
import type { Transformation } from './model.ts'

type SeriesTableOptions = Record<string, { stat?: ReducerID; timeField?: string } | undefined>

/** "Time series to table", which is in Grafana but in none of its packages: one row per series, with a sparkline. */
const timeSeriesTable: DataTransformerInfo<SeriesTableOptions> = {
  id: 'timeSeriesTable',
  name: 'Time series to table',
  defaultOptions: {},
  operator: (options) => (source) => source.pipe(map((frames) => seriesToTable(frames, options))),
}

function seriesToTable(frames: readonly DataFrame[], options: SeriesTableOptions): DataFrame[] {
  const others = frames.filter((frame) => !isTimeSeriesFrame(frame))
  const groups = Map.groupBy(frames.filter(isTimeSeriesFrame), (frame) => frame.refId ?? '')
  const tables = [...groups].map(([refId, series]): DataFrame => {
    const stat = options[refId]?.stat ?? ReducerID.lastNotNull
    const value = (frame: DataFrame) => frame.fields.find((field) => field.type === FieldType.number)!
    const labels = [...new Set(series.flatMap((frame) => Object.keys(value(frame).labels ?? {})))]
    const trend = series.map((frame) => {
      const field = value(frame)
      return { ...frame, value: reduceField({ field, reducers: [stat] })[stat] ?? null }
    })
    const columns = labels.map(
      (label): Field => ({
        name: label,
        type: FieldType.string,
        config: {},
        values: series.map((frame) => value(frame).labels?.[label] ?? ''),
      }),
    )
    const last: Field = { name: `Trend #${refId}`, type: FieldType.frame, config: {}, values: trend }
    return { refId, fields: [...columns, last], length: series.length }
  })
  return [...others, ...tables]
}

export function registerTransformers(): void {
  standardTransformersRegistry.setInit(() => {
    const infos = new Map([...Object.values(standardTransformers), timeSeriesTable].map((info) => [info.id, info]))
    return [...infos.values()].map((info) => ({
      id: info.id,
      name: info.name,
      transformation: () => Promise.resolve(info as DataTransformerInfo),
      editor: () => null,
      imageDark: '',
      imageLight: '',
    }))
  })
}

export async function transform(
  frames: DataFrame[],
  transformations: readonly Transformation[],
  interpolate: (text: string) => string,
): Promise<DataFrame[]> {
  const missing = transformations.find(({ id }) => standardTransformersRegistry.getIfExists(id) === undefined)
  if (missing !== undefined) throw new Error(`transformation ${missing.id} is not drawn`)
  return lastValueFrom(transformDataFrame(transformations as DataTransformerConfig[], frames, { interpolate }))
}
