import { useEffect, useId, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import type { Line } from '../../protocol.ts'
import { useDark, usePreferences } from '../parts/preferences.ts'
import { clock, exact } from '../words/moments.ts'
import { colour } from './colours.ts'
import 'uplot/dist/uPlot.min.css'

export interface Series {
  readonly label: string
  readonly values: Line
  /** A custom property of the style sheet. */
  readonly colour: string
  /** Lines differ in their strokes as well. */
  readonly dash: readonly number[]
}

interface Props {
  readonly title: string
  readonly times: readonly number[]
  readonly series: readonly Series[]
  /** Seconds that are shown, also those of which there is nothing yet. */
  readonly range: number
  readonly format: (value: number | null) => string
  /** On the axis, where there is little room. */
  readonly axis?: (value: number | null) => string
  /** How far its lines may be apart; where nothing is given, 1, 2 or 5 times a power of ten. */
  readonly steps?: readonly number[]
}

const HEIGHT = 150

/** Lines over time with the values under the cursor in the legend, and as a table for who cannot see them. */
export function Chart({ title, times, series, range, format, axis = format, steps }: Props) {
  const holder = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const [index, setIndex] = useState<number | null>(null)
  const { zone } = usePreferences()
  const dark = useDark()
  const id = useId()
  const labels = series.map(({ label }) => label).join()

  // Drawn anew for other lines and other colours; other values are only set, below.
  useEffect(() => {
    const element = holder.current!
    const options = optionsOf({ series, range, format: axis, steps, zone, width: element.clientWidth, moved: setIndex })
    const drawn = new uPlot(options, dataOf(times, series), element)
    plot.current = drawn
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) drawn.setSize({ width: element.clientWidth, height: HEIGHT })
    })
    observer.observe(element)
    return () => {
      observer.disconnect()
      drawn.destroy()
      plot.current = null
    }
  }, [dark, zone, labels, range])

  useEffect(() => plot.current?.setData(dataOf(times, series)), [times, series])

  const at = index ?? times.length - 1
  const moment = times[at] === undefined ? '' : clock(times[at]! * 1_000, zone)
  return (
    <figure class="chart" aria-labelledby={id}>
      <figcaption>
        <h3>
          <span id={id}>{title}</span> <span class="quiet">{index === null ? '' : moment}</span>
        </h3>
        <ul class="legend">
          {series.map(({ label, values, colour: name, dash }) => (
            <li key={label}>
              <svg width="18" height="8" aria-hidden="true">
                <path
                  d="M0 4H18"
                  style={{ stroke: `var(${name})` }}
                  stroke-width="2"
                  stroke-dasharray={dash.join(' ')}
                />
              </svg>
              {label} <b>{format(values[at] ?? null)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div class="plot" ref={holder} aria-hidden="true" />
      <Numbers title={title} times={times} series={series} format={format} />
    </figure>
  )
}

/** The table is made only when it is opened: five charts of 240 moments are many cells. */
function Numbers({ title, times, series, format }: Pick<Props, 'title' | 'times' | 'series' | 'format'>) {
  const [open, setOpen] = useState(false)
  const { zone } = usePreferences()
  const from = Math.max(0, times.length - 60)
  return (
    <details class="numbers" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        as numbers<span class="hidden">: {title}</span>
      </summary>
      {open && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        <section class="scroll short" tabIndex={0} aria-label={title}>
          <table class="plain">
            <caption class="hidden">{title}, the last 60 moments, the latest first</caption>
            <thead>
              <tr>
                <th scope="col">Time</th>
                {series.map(({ label }) => (
                  <th key={label} scope="col">
                    {label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {times
                .slice(from)
                .map((time, offset) => (
                  <tr key={time}>
                    <th scope="row" data-tip={exact(time * 1_000, zone)}>
                      {clock(time * 1_000, zone)}
                    </th>
                    {series.map(({ label, values }) => (
                      <td key={label}>{format(values[from + offset] ?? null)}</td>
                    ))}
                  </tr>
                ))
                .reverse()}
            </tbody>
          </table>
        </section>
      )}
    </details>
  )
}

function dataOf(times: readonly number[], series: readonly Series[]): uPlot.AlignedData {
  return [[...times], ...series.map(({ values }) => [...values])]
}

function optionsOf(given: {
  series: readonly Series[]
  range: number
  format: (value: number | null) => string
  steps: readonly number[] | undefined
  zone: 'utc' | 'local'
  width: number
  moved: (index: number | null) => void
}): uPlot.Options {
  const { series, range, format, steps, zone, width, moved } = given
  const text = colour('--quiet')
  const grid = { stroke: colour('--grid'), width: 1 }
  const axis = { stroke: text, grid, ticks: { show: false }, font: '11px system-ui, sans-serif' }
  return {
    width: Math.max(200, width),
    height: HEIGHT,
    legend: { show: false },
    // All charts of the screen show the same moment.
    cursor: { sync: { key: 'task' }, y: false, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: (_plot, _min, max) => [max - range, max] },
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] },
    },
    axes: [
      {
        ...axis,
        size: 22,
        space: 80,
        values: (_plot, times) => times.map((time) => clock(time * 1_000, zone).slice(0, 5)),
      },
      {
        ...axis,
        size: 58,
        space: 34,
        values: (_plot, values) => values.map((value) => format(value)),
        ...(steps ? { incrs: [...steps] } : {}),
      },
    ],
    series: [
      {},
      ...series.map(({ label, colour: name, dash }) => ({
        label,
        stroke: colour(name),
        width: 1.6,
        dash: [...dash],
        // A line of few moments, in a process that has just begun, is hardly seen without them.
        points: { show: ({ data }: uPlot) => data[0].length <= 30, size: 5 },
      })),
    ],
    hooks: { setCursor: [({ cursor }) => moved(cursor.idx ?? null)] },
  }
}
