import { type TreeNode, treeOf } from './frame-tree.ts'
import type { ProfileSource } from './profile-source.ts'
import { type Frame, GARBAGE_COLLECTION, isOwn } from './stacks.ts'

const WIDTH = 1200
const ROW = 18
const HEAD = 36
/** Narrower ones cannot be seen; px. */
const NARROWEST = 0.3
/** px of a character at the size of the text. */
const CHARACTER = 6.6

/** The colours say whose a function is. */
type Kind = 'task' | 'own' | 'package' | 'node' | 'gc'

/** A flame graph, the outermost functions on top: each as wide as the time in it. The same profile gives the same picture. */
export function flameGraphOf(source: ProfileSource, busy: number): string {
  const { task, samples, rate } = source
  const root = treeOf(source)
  const boxes: string[] = []
  const depth = draw(root, 0, 0, root.total, boxes)
  const height = HEAD + (depth + 1) * ROW + 8
  const title = `${task === undefined ? 'All tasks' : `Task ${task}`}: ${samples.length} samples at ${rate}/s, ${busy.toFixed(3)} s on the thread (estimate)`
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="11">
<style>
  .ground { fill: #ffffff } .head { fill: #1f2328 } rect { stroke: #ffffff; stroke-width: 0.5 } g text { fill: #14171a }
  .task rect { fill: #c9ced6 } .own rect { fill: #f2a65a } .package rect { fill: #f3d27a } .node rect { fill: #9cc8e3 } .gc rect { fill: #e58f8f }
  g:hover rect { stroke: #14171a; stroke-width: 1 }
  @media (prefers-color-scheme: dark) { .ground { fill: #14171a } .head { fill: #e6e9ed } rect { stroke: #14171a } g:hover rect { stroke: #ffffff } }
</style>
<rect class="ground" width="${WIDTH}" height="${height}"/>
<text class="head" x="8" y="15">${escaped(title)}</text>
<text class="head" x="8" y="29">orange: the app, yellow: packages, blue: Node, red: garbage collection; point at a box for its time</text>
${boxes.join('\n')}
</svg>
`
}

function kindOf(frame: Frame | undefined): Kind {
  if (frame === undefined) return 'task'
  if (isOwn(frame)) return 'own'
  if (/node_modules/.test(frame.file)) return 'package'
  return frame.name === GARBAGE_COLLECTION ? 'gc' : 'node'
}

function placeOf(frame: Frame | undefined): string {
  if (frame === undefined || frame.file === '') return ''
  return `${frame.file}${frame.line === 0 ? '' : `:${frame.line}`}`
}

/** Returns how many rows lie below. */
function draw(at: TreeNode, depth: number, x: number, all: number, boxes: string[]): number {
  const width = all === 0 ? WIDTH : (at.total / all) * WIDTH
  if (width < NARROWEST) return depth - 1
  const y = HEAD + depth * ROW
  const percent = all === 0 ? 100 : (at.total / all) * 100
  const place = placeOf(at.frame)
  const about = `${at.name}${place === '' ? '' : ` (${place})`}: ${(at.total / 1000).toFixed(3)} s, ${percent.toFixed(1)} %`
  const room = Math.floor((width - 6) / CHARACTER)
  const text = room < 3 ? '' : at.name.length <= room ? at.name : `${at.name.slice(0, room - 1)}…`
  const label = text === '' ? '' : `<text x="${px(x + 3)}" y="${y + 12}">${escaped(text)}</text>`
  boxes.push(
    `<g class="${kindOf(at.frame)}"><title>${escaped(about)}</title><rect x="${px(x)}" y="${y}" width="${px(width)}" height="${ROW - 1}"/>${label}</g>`,
  )
  let deepest = depth
  let left = x
  for (const [, child] of [...at.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
    deepest = Math.max(deepest, draw(child, depth + 1, left, all, boxes))
    left += all === 0 ? 0 : (child.total / all) * WIDTH
  }
  return deepest
}

function px(value: number): string {
  return String(Math.round(value * 100) / 100)
}

/** A function's name is any string; what XML cannot carry at all is replaced. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD')
    .replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
