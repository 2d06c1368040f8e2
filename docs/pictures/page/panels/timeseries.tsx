import { type DataFrame, FieldType } from '@grafana/data'
import { LegendDisplayMode } from '@grafana/schema'
import { TimeSeries } from '@grafana/ui'
import { useMemo } from 'react'
import type { PanelProps } from '../model.ts'
import { Empty } from './empty.tsx'
import { Annotations, Exemplars } from './overlays.tsx'

export function TimeSeriesPanel(props: PanelProps) {
  const { data, fieldConfig, timeRange, options, width, height, annotations } = props
  const frames = useMemo(() => data.frames.filter(isGraph).map(withoutNaN), [data.frames])
  if (frames.length === 0) return <Empty text={fieldConfig.defaults.noValue} />
  const legend = { displayMode: LegendDisplayMode.List, placement: 'bottom', calcs: [], ...options.legend }
  return (
    <TimeSeries
      frames={frames}
      structureRev={1}
      timeRange={timeRange}
      timeZone="browser"
      width={width}
      height={height}
      legend={legend}
      options={options}
    >
      {(config) => (
        <>
          <Annotations config={config} annotations={annotations} />
          <Exemplars config={config} frames={data.exemplars} />
        </>
      )}
    </TimeSeries>
  )
}

function isGraph(frame: DataFrame): boolean {
  const has = (type: FieldType) => frame.fields.some((field) => field.type === type)
  return frame.length > 0 && has(FieldType.time) && has(FieldType.number)
}

/** A quantile of nothing is NaN, which Grafana draws as a gap. */
function withoutNaN(frame: DataFrame): DataFrame {
  const fields = frame.fields.map((field) =>
    field.type === FieldType.number
      ? { ...field, values: field.values.map((value) => (Number.isFinite(value) ? value : null)) }
      : field,
  )
  return { ...frame, fields }
}
