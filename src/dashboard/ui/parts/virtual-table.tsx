import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { windowOf } from './virtual-window.ts'

interface Props<T> {
  readonly label: string
  readonly items: readonly T[]
  /** How many there are in all, for screen readers; those that are not loaded yet included. */
  readonly total: number
  readonly rowHeight: number
  readonly columns: number
  /** The cells of the head. */
  readonly head: ComponentChildren
  readonly keyOf: (item: T) => string
  /** The cells of a row. */
  readonly row: (item: T, index: number) => ComponentChildren
  /** Called when the last of `items` come into sight. */
  readonly onEnd?: () => void
  /** Called when it is scrolled away from the top, and back. */
  readonly onTop?: (top: boolean) => void
  /** Called when somebody points at it or goes through it, and when that is over. */
  readonly onHold?: (held: boolean) => void
  /** The row to be brought into sight. */
  readonly reveal?: number
  readonly class: string
}

/** A table of which only the rows in sight are in the document. All rows have one height. */
export function VirtualTable<T>(props: Props<T>) {
  const { items, rowHeight, columns, onEnd, onTop, reveal } = props
  const scroller = useRef<HTMLElement>(null)
  const [scrolled, setScrolled] = useState(0)
  const [height, setHeight] = useState(600)

  useEffect(() => {
    const element = scroller.current!
    const observer = new ResizeObserver(() => setHeight(element.clientHeight))
    observer.observe(element)
    return () => observer.disconnect()
  }, [])

  const { first, end } = windowOf(scrolled, height, rowHeight, items.length)
  const atEnd = end >= items.length
  const top = scrolled < rowHeight
  // Also when a page was added of which the end is in sight as well. At the top nobody has asked for more.
  useEffect(() => {
    if (atEnd && !top) onEnd?.()
  }, [atEnd, top, items.length, onEnd])

  useEffect(() => onTop?.(top), [top, onTop])

  useEffect(() => {
    if (reveal !== undefined) bringIntoSight(scroller.current!, reveal * rowHeight, rowHeight)
  }, [reveal, rowHeight])

  return (
    <section
      class={`virtual ${props.class}`}
      ref={scroller}
      aria-label={props.label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
      tabIndex={0}
      onPointerEnter={() => props.onHold?.(true)}
      onPointerLeave={() => props.onHold?.(false)}
      onFocusIn={() => props.onHold?.(true)}
      onFocusOut={() => props.onHold?.(false)}
      onScroll={(event) => setScrolled(event.currentTarget.scrollTop)}
    >
      <table aria-rowcount={props.total + 1}>
        <caption class="hidden">{props.label}</caption>
        <thead>
          <tr aria-rowindex={1}>{props.head}</tr>
        </thead>
        <tbody>
          <Spacer columns={columns} height={first * rowHeight} />
          {items.slice(first, end).map((item, offset) => (
            <tr key={props.keyOf(item)} aria-rowindex={first + offset + 2} style={{ height: `${rowHeight}px` }}>
              {props.row(item, first + offset)}
            </tr>
          ))}
          <Spacer columns={columns} height={(items.length - end) * rowHeight} />
        </tbody>
      </table>
    </section>
  )
}

/** As high as the rows that it stands for. */
function Spacer({ columns, height }: { columns: number; height: number }) {
  return (
    <tr class="spacer" hidden={height === 0}>
      <td colSpan={columns} style={{ height: `${height}px` }} />
    </tr>
  )
}

function bringIntoSight(element: HTMLElement, above: number, rowHeight: number): void {
  // The head sticks above the rows and hides as much of them as it is high.
  const seen = element.clientHeight - (element.querySelector('thead')?.offsetHeight ?? 0)
  if (above < element.scrollTop) element.scrollTop = above
  else if (above + rowHeight > element.scrollTop + seen) element.scrollTop = above + rowHeight - seen
}
