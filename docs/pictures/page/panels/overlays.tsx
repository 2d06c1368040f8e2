import type { DataFrame } from '@grafana/data'
import { EventsCanvas, type UPlotConfigBuilder, useTheme2 } from '@grafana/ui'
import { useCallback, useLayoutEffect, useRef } from 'react'
import type uPlot from 'uplot'
import type { Annotation } from '../model.ts'

interface OverlayProps {
  readonly config: UPlotConfigBuilder
}

function usePlot(config: UPlotConfigBuilder) {
  const plot = useRef<uPlot>(undefined)
  useLayoutEffect(() => {
    config.addHook('init', (u) => {
      plot.current = u
    })
  }, [config])
  return plot
}

/** A diamond per exemplar; what lies outside of the axis is put at its edge. */
export function Exemplars({ config, frames }: OverlayProps & { readonly frames: DataFrame[] }) {
  const plot = usePlot(config)
  const series = config.getSeries()
  const position = useCallback(
    (frame: DataFrame, row: number) => {
      const u = plot.current
      const key = u && Object.keys(u.scales).find((scale) => scale !== 'x' && scale !== 'y')
      if (u === undefined || key === undefined) return undefined
      const { min = null, max = null } = u.scales[key]!
      const value = Math.min(max ?? Infinity, Math.max(min ?? -Infinity, frame.fields[1]!.values[row]))
      return { x: u.valToPos(frame.fields[0]!.values[row], 'x'), y: u.valToPos(value, key) }
    },
    [plot],
  )
  const mark = useCallback(
    (frame: DataFrame) => {
      const own = series.find((one) => one.props.dataFrameFieldIndex?.frameIndex === frames.indexOf(frame))
      return (
        <div style={{ position: 'absolute', transform: 'translate(-50%, -50%)' }}>
          <svg
            viewBox="0 0 7 7"
            width="7"
            height="7"
            style={{ display: 'block', fill: own?.props.lineColor, opacity: 0.5 }}
          >
            <title>exemplar</title>
            <rect x="3.39" width="4.79" height="4.79" transform="rotate(45 3.39 0)" />
          </svg>
        </div>
      )
    },
    [series, frames],
  )
  if (frames.length === 0) return null
  return (
    <EventsCanvas
      id="exemplars"
      config={config}
      events={frames}
      renderEventMarker={mark}
      mapEventToXYCoords={position}
    />
  )
}

/** Dashed lines with a triangle below, and a tinted region where an annotation lasts. */
export function Annotations({ config, annotations }: OverlayProps & { readonly annotations: readonly Annotation[] }) {
  const theme = useTheme2()
  useLayoutEffect(() => {
    config.addHook('draw', (u) => {
      const { ctx, bbox } = u
      const ratio = window.devicePixelRatio
      ctx.save()
      ctx.beginPath()
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height + 10 * ratio)
      ctx.clip()
      for (const { colour, from, to } of annotations) {
        const [left, right] = [u.valToPos(from, 'x', true), u.valToPos(to, 'x', true)]
        const bottom = bbox.top + bbox.height
        ctx.fillStyle = ctx.strokeStyle = theme.visualization.getColorByName(colour)
        ctx.lineWidth = 2
        ctx.setLineDash([5, 5])
        for (const x of from === to ? [left] : [left, right]) {
          ctx.beginPath()
          ctx.moveTo(x, bbox.top)
          ctx.lineTo(x, bottom)
          ctx.stroke()
        }
        ctx.setLineDash([])
        if (from === to) {
          ctx.beginPath()
          ctx.moveTo(left, bottom)
          ctx.lineTo(left - 5 * ratio, bottom + 6 * ratio)
          ctx.lineTo(left + 5 * ratio, bottom + 6 * ratio)
          ctx.fill()
        } else {
          ctx.fillRect(left, bottom, right - left, 5 * ratio)
          ctx.globalAlpha = 0.1
          ctx.fillRect(left, bbox.top, right - left, bbox.height)
          ctx.globalAlpha = 1
        }
      }
      ctx.restore()
    })
  }, [config, annotations, theme])
  return null
}
