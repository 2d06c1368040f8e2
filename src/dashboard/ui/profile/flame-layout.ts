import type { Frame } from '../../protocol.ts'

export interface Box {
  readonly frame: Frame
  /** Which child of which child it is: `0.2.1`, the root is ``. */
  readonly path: string
  readonly depth: number
  /** Shares of the width, 0 to 1. */
  readonly x: number
  readonly width: number
  /** It lies above the frame that is zoomed into, and is as wide as that. */
  readonly above: boolean
}

const MAX_DEPTH = 200

/** The boxes of a flame graph that is zoomed into the frame at `zoom`; those too narrow to be seen are left out. */
export function layOutFlame(root: Frame, zoom: string, narrowest: number): Box[] {
  const boxes: Box[] = []
  let frame = root
  let path = ''
  let depth = 0
  for (const step of zoom === '' ? [] : zoom.split('.')) {
    const child = frame.children[Number(step)]
    if (child === undefined) break
    boxes.push({ frame, path, depth, x: 0, width: 1, above: true })
    path = path === '' ? step : `${path}.${step}`
    frame = child
    depth++
  }
  const stack: Box[] = [{ frame, path, depth, x: 0, width: 1, above: false }]
  for (let box = stack.pop(); box !== undefined; box = stack.pop()) {
    boxes.push(box)
    if (box.depth >= MAX_DEPTH || !(box.frame.value > 0)) continue
    let x = box.x
    for (const [index, child] of box.frame.children.entries()) {
      const width = box.width * Math.min(1, Math.max(0, child.value) / box.frame.value)
      if (width >= narrowest) {
        const childPath = box.path === '' ? String(index) : `${box.path}.${index}`
        stack.push({ frame: child, path: childPath, depth: box.depth + 1, x, width, above: false })
      }
      x += width
    }
  }
  return boxes.sort((a, b) => a.depth - b.depth || a.x - b.x)
}

export type Direction = 'up' | 'down' | 'left' | 'right'

/** The box that an arrow key leads to from the one at `path`. */
export function neighbour(boxes: readonly Box[], path: string, direction: Direction): Box | undefined {
  const current = boxes.find((box) => box.path === path)
  if (current === undefined) return boxes[0]
  if (direction === 'up') return boxes.find((box) => box.path === parentOf(path) && path !== '')
  if (direction === 'down') {
    const below = boxes.filter((box) => box.path !== '' && parentOf(box.path) === path)
    return below.reduce<Box | undefined>((best, box) => (best && best.width >= box.width ? best : box), undefined)
  }
  const row = boxes.filter(({ depth }) => depth === current.depth)
  return row[row.indexOf(current) + (direction === 'left' ? -1 : 1)]
}

export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('.')))
}
