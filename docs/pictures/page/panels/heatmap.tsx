import { css } from '@emotion/css'
import {
  type DataFrame,
  formattedValueToString,
  type GrafanaTheme2,
  getDisplayProcessor,
  type TimeRange,
} from '@grafana/data'
import { AxisPlacement, ScaleDirection, ScaleOrientation } from '@grafana/schema'
import { UPlotChart, UPlotConfigBuilder, useStyles2, useTheme2, VizLayout } from '@grafana/ui'
import * as chromatic from 'd3-scale-chromatic'
import { useMemo } from 'react'
import type uPlot from 'uplot'
import type { Options, PanelProps } from '../model.ts'
import { Empty } from './empty.tsx'
import { Annotations } from './overlays.tsx'

/** Schemes that Grafana turns around in a theme, so that what is little is near to the background. */
const FOR_DARK = new Set(['Turbo', 'Cividis', 'Viridis', 'Magma', 'Inferno', 'Plasma', 'Warm', 'Cool', 'Cubehelix'])
const ALWAYS_INVERTED = /^(BrBG|PiYG|PRGn|PuOr|Rd(Bu|Gy|YlBu|YlGn)|Spectral|Rainbow|Sinebow)$/

const INTERPOLATORS = new Map<string, unknown>(Object.entries(chromatic))

/** Grafana's heatmap is in none of its packages: this draws Prometheus' buckets as it does, on Grafana's axes. */
export function HeatmapPanel({ data, options, fieldConfig, timeRange, width, height, annotations }: PanelProps) {
  const theme = useTheme2()
  const styles = useStyles2(getStyles)
  const frame = data.frames.find(({ length, fields }) => length > 0 && fields.length > 1)
  const drawing = useMemo(
    () => frame && prepare(frame, data.exemplars, options, theme, timeRange),
    [frame, data.exemplars, options, theme, timeRange],
  )
  if (drawing === undefined || frame === undefined) return <Empty text={fieldConfig.defaults.noValue} />
  const { config, palette, least, most } = drawing
  const cell = getDisplayProcessor({ field: { config: options.cellValues ?? {} }, theme })
  const legend =
    options.legend?.show === false ? null : (
      <VizLayout.Legend placement="bottom" maxHeight="20%">
        <div className={styles.legend}>
          <div className={styles.scale} style={{ background: `linear-gradient(90deg, ${stops(palette).join()})` }} />
          <div className={styles.ends}>
            <span>{formattedValueToString(cell(least))}</span>
            <span>{formattedValueToString(cell(most))}</span>
          </div>
        </div>
      </VizLayout.Legend>
    )
  const times = frame.fields[0]!.values
  return (
    <VizLayout width={width} height={height} legend={legend}>
      {(w, h) => (
        <UPlotChart config={config} data={[times, times.map(() => 0)]} width={w} height={h}>
          <Annotations config={config} annotations={annotations} />
        </UPlotChart>
      )}
    </VizLayout>
  )
}

function stops(palette: readonly string[]): string[] {
  const every = Math.ceil(palette.length / 10)
  return [...palette.filter((_, i) => i % every === 0), palette.at(-1)!]
}

function colours({ scheme = 'Oranges', steps = 64, reverse = false }: Options, theme: GrafanaTheme2): string[] {
  const named = INTERPOLATORS.get(`interpolate${scheme === 'Cubehelix' ? 'CubehelixDefault' : scheme}`)
  const interpolate = (named ?? chromatic.interpolateOranges) as (share: number) => string
  const palette = Array.from({ length: steps }, (_, i) => interpolate(i / (steps - 1)))
  const inverted = ALWAYS_INVERTED.test(scheme) || FOR_DARK.has(scheme) === theme.isLight
  return inverted !== reverse ? palette.reverse() : palette
}

function prepare(
  frame: DataFrame,
  exemplars: readonly DataFrame[],
  options: Options,
  theme: GrafanaTheme2,
  timeRange: TimeRange,
) {
  const [time, ...rows] = frame.fields
  const bounds = rows.map((row) => row.labels?.le ?? row.name)
  const above = options.filterValues?.le ?? -Infinity
  const shown = rows.flatMap((row) => row.values as number[]).filter((count) => count > above)
  const least = options.color?.min ?? Math.min(...shown)
  const most = options.color?.max ?? Math.max(...shown)
  const palette = colours(options.color ?? {}, theme)
  const colour = (count: number) => {
    const share = most > least ? (count - least) / (most - least) : 1
    return palette[Math.min(palette.length - 1, Math.max(0, Math.floor(share * palette.length)))]!
  }
  const axis = getDisplayProcessor({ field: { config: { unit: 'short', ...options.yAxis } }, theme })
  const label = (bound: string) => (bound === '+Inf' ? bound : formattedValueToString(axis(Number(bound))))

  const config = new UPlotConfigBuilder('browser')
  config.addScale({
    scaleKey: 'x',
    isTime: true,
    orientation: ScaleOrientation.Horizontal,
    direction: ScaleDirection.Right,
    range: () => [timeRange.from.valueOf(), timeRange.to.valueOf()],
  })
  config.addScale({
    scaleKey: 'y',
    orientation: ScaleOrientation.Vertical,
    direction: ScaleDirection.Up,
    range: () => [-1, rows.length - 1],
  })
  config.addAxis({ scaleKey: 'x', isTime: true, placement: AxisPlacement.Bottom, timeZone: 'browser', theme })
  config.addAxis({
    scaleKey: 'y',
    placement: options.yAxis?.axisPlacement ?? AxisPlacement.Left,
    theme,
    splits: (u: uPlot) => {
      let splits = [-1, ...rows.keys()]
      while (splits.length > 3 && (u.height - 15) / splits.length < 10) splits = splits.filter((_, i) => i % 2 === 0)
      return splits
    },
    values: (_: uPlot, splits: number[]) => splits.map((row) => (row < 0 ? label('0') : label(bounds[row]!))),
  })
  config.addSeries({ scaleKey: 'y', theme, show: false })

  config.addHook('draw', (u) => {
    const { ctx, bbox } = u
    const gap = (options.cellGap ?? 1) * window.devicePixelRatio
    const step = time!.config.interval ?? 0
    ctx.save()
    ctx.beginPath()
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
    ctx.clip()
    for (const [row, { values }] of rows.entries()) {
      const top = Math.round(u.valToPos(row, 'y', true))
      const bottom = Math.round(u.valToPos(row - 1, 'y', true))
      for (const [i, count] of values.entries()) {
        if (count <= above) continue
        const right = Math.round(u.valToPos(time!.values[i], 'x', true))
        const left = Math.round(u.valToPos(time!.values[i] - step, 'x', true))
        ctx.fillStyle = colour(count)
        ctx.fillRect(left, top, Math.max(1, right - left - gap), Math.max(1, bottom - top - gap))
      }
    }
    ctx.fillStyle = theme.visualization.getColorByName(options.exemplars?.color ?? 'rgba(255,0,255,0.7)')
    for (const { fields, length } of exemplars) {
      for (let i = 0; i < length; i++) {
        const row = bounds.findIndex((bound) => Number(bound) === Number(fields[2]!.values[i]))
        if (row < 0) continue
        const x = u.valToPos(fields[0]!.values[i], 'x', true)
        const y = u.valToPos(row - 0.5, 'y', true)
        ctx.beginPath()
        for (const [dx, dy] of [
          [0, -4],
          [4, 0],
          [0, 4],
          [-4, 0],
        ] as const)
          ctx.lineTo(x + dx, y + dy)
        ctx.fill()
      }
    }
    ctx.restore()
  })
  return { config, palette, least, most }
}

const getStyles = (theme: GrafanaTheme2) => ({
  legend: css({ marginLeft: 25, padding: '10px 0', maxWidth: 300, fontSize: 11 }),
  scale: css({ height: 9, borderRadius: theme.shape.radius.default }),
  ends: css({ display: 'flex', justifyContent: 'space-between', color: theme.colors.text.disabled }),
})
