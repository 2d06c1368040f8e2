/** The figures as bars, in an SVG with a ground of its own, so that it can be read on a white page as on a dark one. */

import { type Cell, MODES, type Mode, WORKS } from './cells.ts'
import type { Comparison, Figures } from './measure.ts'

interface Panel {
  readonly title: string
  readonly note: string
  readonly of: keyof Figures
  readonly digits: number
}

const PANELS: readonly Panel[] = [
  { title: 'tasks per second', note: 'more is better', of: 'tasksPerSecond', digits: 0 },
  { title: 'task effect p95, ms', note: 'less is better', of: 'effectP95', digits: 0 },
  { title: '/ping p99 meanwhile, ms', note: 'less is better; the line: idle', of: 'pingP99', digits: 1 },
]

const COLOURS: Record<Mode, string> = { sync: 'sync', async: 'async', slices: 'async', pool: 'async', worker: 'worker' }

const STYLE = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .strong { font-weight: 600 } .muted { font-size: 12px; fill: #59636e }
  .ground { fill: #ffffff; stroke: #d1d9e0 } .axis { stroke: #818b98 } .idle { stroke: #1f2328; stroke-dasharray: 3 2 }
  .sync { fill: #cf5c36 } .async { fill: #b58900 } .worker { fill: #2f7fc1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .muted { fill: #9198a1 }
    .ground { fill: #161b22; stroke: #3d444d } .axis { stroke: #656c76 } .idle { stroke: #e6edf3 }
    .sync { fill: #e07a55 } .async { fill: #d2a520 } .worker { fill: #58a6ff }
  }`

const LABELS = 130
const BAR = 200
const PANEL = 270
const ROW = 24
const HEAD = 64
const PAD = 20

interface Row {
  readonly cell: Cell & { readonly median: Figures }
  readonly y: number
}

export function chart({ cells, node, cores, date }: Comparison): string {
  const whole = cells.filter((cell): cell is typeof cell & { median: Figures } => cell.median !== undefined)
  const parts: string[] = []
  const rows: Row[] = []
  let y = HEAD
  for (const [index, cell] of whole.entries()) {
    if (cell.work !== whole[index - 1]?.work) {
      if (index > 0) y += ROW / 2
      parts.push(text(PAD, y + 16, WORKS[cell.work], 'strong'))
      y += ROW
    }
    parts.push(text(PAD, y + 16, MODES[cell.mode]))
    rows.push({ cell, y })
    y += ROW
  }
  const bottom = y
  for (const [index, panel] of PANELS.entries())
    parts.push(...barsOf(panel, PAD + LABELS + index * PANEL, rows, bottom))
  parts.push(text(PAD, bottom + 30, `Node ${node}, ${cores} cores, ${date}`, 'muted'))

  const width = PAD + LABELS + PANELS.length * PANEL
  const height = bottom + 46
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">
<title id="title">Synchronous handlers, async handlers and worker threads: tasks per second, effect and latency of /ping</title>
<style>${STYLE}
</style>
<rect class="ground" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="6"/>
${parts.join('\n')}
</svg>
`
}

function barsOf({ title, note, of, digits }: Panel, x: number, rows: readonly Row[], bottom: number): string[] {
  const idle = (figures: Figures) => (of === 'pingP99' ? figures.idleP99 : 0)
  const most = Math.max(...rows.map(({ cell }) => Math.max(cell.median[of], idle(cell.median))))
  const at = (value: number) => x + Math.round((value / most) * BAR * 10) / 10
  const parts = [text(x, 26, title, 'strong'), text(x, 44, note, 'muted')]
  for (const { cell, y } of rows) {
    const end = at(cell.median[of])
    const mark = at(idle(cell.median))
    const width = (end - x).toFixed(1)
    parts.push(`<rect class="${COLOURS[cell.mode]}" x="${x}" y="${y + 3}" width="${width}" height="${ROW - 6}"/>`)
    if (mark > x) parts.push(`<line class="idle" x1="${mark}" x2="${mark}" y1="${y + 1}" y2="${y + ROW - 1}"/>`)
    parts.push(text(Math.max(end, mark) + 6, y + 16, cell.median[of].toFixed(digits)))
  }
  parts.push(`<line class="axis" x1="${x}" x2="${x}" y1="${HEAD}" y2="${bottom}"/>`)
  return parts
}

function text(x: number, y: number, words: string, style?: string): string {
  const safe = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x}" y="${y}"${style === undefined ? '' : ` class="${style}"`}>${safe}</text>`
}
