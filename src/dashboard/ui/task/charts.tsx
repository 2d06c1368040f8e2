import type { ComponentChildren } from 'preact'
import { useMemo } from 'preact/hooks'
import type { Line, TaskDetail } from '../../protocol.ts'
import { count, duration, rate, short } from '../words/format.ts'
import { Chart, type Series } from './chart.tsx'

type Three = TaskDetail['charts']['wait']

/** No axis has half a task. */
const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7]
/** Round in the unit that is shown, from microseconds to days. */
const SECONDS = [
  ...[-6, -5, -4, -3, -2, -1].flatMap((power) => [1, 2, 5].map((step) => Number((step * 10 ** power).toPrecision(1)))),
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 18_000, 43_200, 86_400, 864_000],
]

const MEASURES = [
  ['wait', 'Wait'],
  ['duration', 'Duration'],
  ['effect', 'Effect'],
] as const

const SOLID: readonly number[] = []
const DASHED = [7, 3]
const DOTTED = [2, 3]

const line = (label: string, values: Line, colour: string, dash: readonly number[]): Series => ({
  label,
  values,
  colour,
  dash,
})

const quantiles = ({ p50, p95, p99 }: Three): Series[] => [
  line('p50', p50, '--line-1', SOLID),
  line('p95', p95, '--line-2', DASHED),
  line('p99', p99, '--line-3', DOTTED),
]

interface Props {
  readonly charts: TaskDetail['charts']
  /** Seconds. */
  readonly range: number
  readonly children: ComponentChildren
}

export function Charts({ charts, range, children }: Props) {
  const { times } = charts
  const of = useMemo(
    () => ({
      outcomes: [
        line('completed', charts.completed, '--line-1', SOLID),
        line('failed', charts.failed, '--bad', DASHED),
        line('retries', charts.retries, '--line-3', DOTTED),
      ],
      load: [line('waiting', charts.waiting, '--line-2', DASHED), line('running', charts.running, '--line-1', SOLID)],
      wait: quantiles(charts.wait),
      duration: quantiles(charts.duration),
      effect: quantiles(charts.effect),
    }),
    [charts],
  )
  return (
    <div class="charts">
      <Chart title="Outcomes and retries" times={times} range={range} series={of.outcomes} format={rate} />
      <Chart title="Waiting and running" times={times} range={range} series={of.load} format={count} steps={COUNTS} />
      {MEASURES.map(([measure, title]) => (
        <Chart
          key={measure}
          title={title}
          times={times}
          range={range}
          series={of[measure]}
          format={duration}
          axis={short}
          steps={SECONDS}
        />
      ))}
      {children}
    </div>
  )
}
