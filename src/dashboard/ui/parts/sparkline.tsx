import { count, duration } from '../words/format.ts'

const HEIGHT = 26
const BASE = 17
const STEP = 1.6

/** Completed above the line, failed below it: which is which can be told without the colour. */
export function Sparkline(props: { completed: readonly number[]; failed: readonly number[]; seconds: number }) {
  const { completed, failed, seconds } = props
  const parts = Math.max(completed.length, failed.length)
  const most = Math.max(1, ...completed, ...failed)
  const words = describe(completed, failed, seconds)
  return (
    <svg
      class="sparkline"
      viewBox={`0 0 ${Math.max(1, parts) * STEP} ${HEIGHT}`}
      width={Math.max(1, parts) * STEP}
      height={HEIGHT}
      role="img"
      aria-label={words}
      data-tip={words}
    >
      <path class="base" d={`M0 ${BASE + 0.5}H${parts * STEP}`} />
      <path class="completed" d={bars(completed, most, BASE, -1)} />
      <path class="failed" d={bars(failed, most, HEIGHT - BASE - 1, 1)} />
    </svg>
  )
}

/** One path for all bars. The smallest count that is not 0 is seen as well. */
function bars(counts: readonly number[], most: number, room: number, direction: 1 | -1): string {
  const from = direction < 0 ? BASE : BASE + 1
  return counts
    .map((number, index) => {
      if (!(number > 0)) return ''
      const length = Math.max(1.5, Math.sqrt(number / most) * room)
      return `M${index * STEP} ${from}v${(direction * length).toFixed(1)}h${STEP - 0.5}V${from}Z`
    })
    .join('')
}

function describe(completed: readonly number[], failed: readonly number[], seconds: number): string {
  const sum = (counts: readonly number[]) => counts.reduce((total, number) => total + number, 0)
  const last = failed.findLastIndex((number) => number > 0)
  const ago = ((failed.length - last) * seconds) / Math.max(1, failed.length)
  const when = last < 0 ? '' : `, the last within ${duration(ago)}`
  return `${duration(seconds)}: ${count(sum(completed))} completed, ${count(sum(failed))} failed${when}`
}
