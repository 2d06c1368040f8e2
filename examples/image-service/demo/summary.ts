import type { Snapshot, TaskFigures } from 'afterspan'
import { KINDS } from '../kinds.ts'
import type { Driver } from './driver.ts'
import { duration, type Line, type Span, type Style, table } from './table.ts'

export interface View {
  readonly snapshot: Snapshot
  readonly driver: Pick<Driver, 'accepted' | 'rejected' | 'turnedAway' | 'rate' | 'surprises'>
  /** Attempts after a deferral's first, by the task's name. */
  readonly retries: ReadonlyMap<string, number>
  /** Seconds since the start. */
  readonly elapsed: number
  /** HTTP requests of the last seconds, per second. */
  readonly requestsPerSecond: number
  readonly phase: string
}

const PRIORITY = new Map<string, string>(
  Object.values(KINDS).map(({ name, options }) => [name, options.priority ?? '']),
)

/** The figures of the moment as lines. */
export function summary({ snapshot, driver, retries, elapsed, requestsPerSecond, phase }: View): Line[] {
  const { limit, used } = snapshot.concurrency
  return [
    [
      { text: clock(elapsed), style: 'bold' },
      { text: `  ${phase}  ` },
      { text: meter(used, limit), style: used >= limit ? 'yellow' : 'green' },
      { text: ` ${used} of ${limit} slots   ${driver.rate.toFixed(1)} uploads/s   ` },
      { text: `${requestsPerSecond.toFixed(0)} requests/s   rss ${(process.memoryUsage.rss() / 1e6).toFixed(0)} MB` },
    ],
    [],
    ...table(
      [
        { title: 'task', align: 'left' },
        { title: 'priority', align: 'left' },
        { title: 'waiting' },
        { title: 'running' },
        { title: 'done' },
        { title: 'failed' },
        { title: 'retries' },
        { title: 'wait p50' },
        { title: 'p95' },
        { title: 'run p50' },
        { title: 'p95' },
      ],
      [
        ...snapshot.tasks.map((task) =>
          row(task.name, PRIORITY.get(task.name) ?? '', retries.get(task.name) ?? 0, task),
        ),
        row('total', '', sumOf(retries), snapshot.total).map((cell) => ({
          ...cell,
          style: cell.style ?? ('bold' as Style),
        })),
      ],
    ),
    [],
    uploadsLine(driver),
  ]
}

function row(name: string, priority: string, retries: number, task: TaskFigures): Span[] {
  const count = (value: number, style: Style): Span => ({
    text: String(value),
    style: value === 0 ? 'dim' : style,
  })
  return [
    { text: name, style: 'bold' },
    { text: priority, style: 'dim' },
    count(task.waiting, 'yellow'),
    count(task.running, 'cyan'),
    count(task.completed, 'green'),
    count(task.failed, 'red'),
    count(retries, 'magenta'),
    { text: duration(task.wait.p50) },
    { text: duration(task.wait.p95) },
    { text: duration(task.duration.p50) },
    { text: duration(task.duration.p95) },
  ]
}

function uploadsLine(driver: View['driver']): Line {
  const rejected = [...driver.rejected].sort(([a], [b]) => a.localeCompare(b))
  const total = sumOf(driver.rejected)
  const turnedAway = sumOf(driver.turnedAway)
  const byStatus = new Map<string, number>()
  for (const [key, count] of rejected) {
    const status = key.slice(0, 3)
    byStatus.set(status, (byStatus.get(status) ?? 0) + count)
  }
  const kinds = [...byStatus].map(([status, count]) => `${count} × ${status}`).join(', ')
  return [
    { text: 'uploads', style: 'bold' },
    { text: `  ${driver.accepted} accepted   ${total} rejected${kinds === '' ? '' : ` (${kinds})`}` },
    { text: turnedAway > 0 ? `   ${turnedAway} × 503` : '', style: 'yellow' },
    { text: driver.surprises.length > 0 ? `   ${driver.surprises.length} wrong answers` : '', style: 'red' },
  ]
}

function sumOf(counts: ReadonlyMap<unknown, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}

function meter(used: number, limit: number): string {
  const cells = Math.min(limit, 10)
  const full = Math.min(cells, Math.ceil((used / limit) * cells))
  return '■'.repeat(full) + '□'.repeat(cells - full)
}

function clock(seconds: number): string {
  const whole = Math.floor(seconds)
  return `${String(Math.floor(whole / 60)).padStart(2, '0')}:${String(whole % 60).padStart(2, '0')}`
}
