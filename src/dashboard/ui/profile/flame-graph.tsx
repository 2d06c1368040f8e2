import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Frame } from '../../protocol.ts'
import { duration, ratio } from '../words/format.ts'
import { cut, oneLine } from '../words/visible.ts'
import { type Box, type Direction, layOutFlame, neighbour, parentOf } from './flame-layout.ts'
import { placeOf } from './place.ts'

const ROW = 19
/** Pixels of the narrowest box that is drawn. */
const NARROWEST = 1.5

const ARROWS = new Map<string, Direction>([
  ['ArrowUp', 'up'],
  ['ArrowDown', 'down'],
  ['ArrowLeft', 'left'],
  ['ArrowRight', 'right'],
])

interface Props {
  readonly root: Frame
  /** Frames of this function are marked. */
  readonly marked: string | null
}

/** Where the CPU time went, callers above what they call. A click or Enter zooms in, Escape out. */
export function FlameGraph({ root, marked }: Props) {
  const holder = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(900)
  const [zoom, setZoom] = useState('')
  const [active, setActive] = useState('')
  const focusing = useRef(false)

  useEffect(() => {
    const element = holder.current!
    const observer = new ResizeObserver(() => setWidth(Math.max(200, element.clientWidth)))
    observer.observe(element)
    return () => observer.disconnect()
  }, [])

  const boxes = useMemo(() => layOutFlame(root, zoom, NARROWEST / width), [root, zoom, width])
  const depth = Math.max(...boxes.map((box) => box.depth)) + 1
  const current = boxes.find(({ path }) => path === active) ?? boxes[0]!

  useEffect(() => {
    if (!focusing.current) return
    focusing.current = false
    holder.current?.querySelector<SVGGElement>('g[tabindex="0"]')?.focus()
  })

  const go = (path: string, into = zoom) => {
    focusing.current = true
    setActive(path)
    setZoom(into)
  }
  const pressed = (event: KeyboardEvent) => {
    const direction = ARROWS.get(event.key)
    if (direction) {
      const next = neighbour(boxes, current.path, direction)
      if (next) go(next.path)
    } else if (event.key === 'Enter' || event.key === ' ') go(current.path, current.path)
    else if (event.key === 'Escape' && zoom !== '') go(zoom, parentOf(zoom))
    else return
    event.preventDefault()
  }

  return (
    <div class="flame">
      <p class="tools">
        <button type="button" class="small" disabled={zoom === ''} onClick={() => go('', '')}>
          Whole profile
        </button>
        <span class="quiet">click or Enter zooms in, Esc out, arrows move</span>
      </p>
      <div ref={holder} class="flame-holder">
        {/* biome-ignore lint/a11y/useSemanticElements: a group of frames is no fieldset */}
        <svg
          class="flame-graph"
          width={width}
          height={depth * ROW}
          role="group"
          aria-label="Flame graph; the same is in the table of functions"
          onKeyDown={pressed}
        >
          {boxes.map((box) => (
            <FlameBox
              key={box.path}
              box={box}
              width={width}
              all={root.value}
              marked={marked !== null && placeOf(box.frame) === marked}
              reached={box === current}
              zoomInto={() => go(box.path, box.path)}
            />
          ))}
        </svg>
      </div>
      <p class="flame-current">
        <bdi>{oneLine(cut(words(current.frame, root.value), 300))}</bdi>
      </p>
    </div>
  )
}

interface BoxProps {
  readonly box: Box
  readonly width: number
  readonly all: number
  readonly marked: boolean
  readonly reached: boolean
  readonly zoomInto: () => void
}

function FlameBox({ box, width, all, marked, reached, zoomInto }: BoxProps) {
  const { frame, depth, x, above } = box
  const label = words(frame, all)
  const pixels = box.width * width
  const name = oneLine(cut(frame.name, 200))
  return (
    // biome-ignore lint/a11y/useSemanticElements: there is no button in SVG
    <g
      role="button"
      // In SVG the names of attributes have their case, and this is the one that counts.
      tabindex={reached ? 0 : -1}
      class={`frame tone-${depth % 4}${above ? ' above' : ''}${marked ? ' marked' : ''}`}
      aria-label={cut(oneLine(label), 300)}
      data-tip={label}
      onClick={zoomInto}
    >
      <rect x={x * width} y={depth * ROW} width={Math.max(1, pixels - 1)} height={ROW - 1} rx="1" />
      {pixels >= 24 && (
        // A picture of its own cuts the name where its box ends, and leaves it whole for who reads it in another way.
        <svg x={x * width} y={depth * ROW} width={pixels - 3} height={ROW} aria-hidden="true">
          <text x="4" y="13">
            {name}
          </text>
        </svg>
      )}
    </g>
  )
}

function words(frame: Frame, all: number): string {
  const share = all > 0 ? ` (${ratio(frame.value / all)})` : ''
  return `${placeOf(frame)}: ${duration(frame.value)}${share}`
}
