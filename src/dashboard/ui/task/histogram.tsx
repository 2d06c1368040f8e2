import type { TaskDetail } from '../../protocol.ts'
import { count, counted, duration, ratio, short } from '../words/format.ts'

const WIDTH = 420
const HEIGHT = 150
const FOOT = 20

/** How the durations are spread: one bar for each bound, the empty ones at both ends left out. */
export function Histogram({ of: { bounds, counts } }: { of: TaskDetail['histogram'] }) {
  const first = counts.findIndex((number) => number > 0)
  const last = counts.findLastIndex((number) => number > 0)
  const total = counts.reduce((sum, number) => sum + number, 0)
  if (first < 0) {
    return (
      <figure class="histogram">
        <h3>Durations</h3>
        <p class="quiet">No attempt ended in this time.</p>
      </figure>
    )
  }
  const bars = counts.slice(first, last + 1).map((number, index) => ({
    number,
    from: bounds[first + index - 1] ?? 0,
    to: bounds[first + index] ?? null,
  }))
  const most = Math.max(...bars.map(({ number }) => number))
  const step = WIDTH / bars.length
  const labelled = Math.max(1, Math.ceil(bars.length / 6))
  return (
    <figure class="histogram">
      <figcaption>
        <h3>Durations</h3>
        <p class="legend">
          {counted(total, 'attempt')} from {short(bars[0]!.from)} to {short(bars.at(-1)!.to)}
        </p>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`${counted(total, 'attempt')} by duration; the numbers are in the table below`}
      >
        {bars.map(({ number, from, to }, index) => {
          const height = (number / most) * (HEIGHT - FOOT - 14)
          return (
            <g
              key={from}
              data-tip={`${duration(from)} to ${duration(to)}: ${count(number)} (${ratio(number / total)})`}
            >
              <rect class="room" x={index * step} y="0" width={step} height={HEIGHT - FOOT} />
              <rect
                class="bar"
                x={index * step + 1}
                y={HEIGHT - FOOT - height}
                width={Math.max(1, step - 2)}
                height={number > 0 ? Math.max(1, height) : 0}
              />
              {index % labelled === 0 && (
                <text x={index * step} y={HEIGHT - 6}>
                  {short(from)}
                </text>
              )}
            </g>
          )
        })}
        <path class="base" d={`M0 ${HEIGHT - FOOT + 0.5}H${WIDTH}`} />
      </svg>
      <details class="numbers">
        <summary>
          as numbers<span class="hidden">: durations</span>
        </summary>
        <table class="plain">
          <caption class="hidden">Attempts by duration</caption>
          <thead>
            <tr>
              <th scope="col">Up to</th>
              <th scope="col">Attempts</th>
              <th scope="col">Share</th>
            </tr>
          </thead>
          <tbody>
            {bars.map(({ number, from, to }) => (
              <tr key={from}>
                <th scope="row">{duration(to)}</th>
                <td>{count(number)}</td>
                <td>{ratio(number / total)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  )
}
