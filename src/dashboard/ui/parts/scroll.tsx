import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

/** What scrolls sideways where it is wider than the page; the keyboard reaches it then, and only then. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  const box = useRef<HTMLElement>(null)
  const [scrolls, setScrolls] = useState(false)
  useEffect(() => {
    const { current } = box
    if (current === null) return
    const look = () => setScrolls(current.scrollWidth > current.clientWidth)
    const observer = new ResizeObserver(look)
    observer.observe(current)
    for (const child of current.children) observer.observe(child)
    return () => observer.disconnect()
  }, [])
  return (
    <section ref={box} class="scroll" aria-label={label} {...(scrolls && { tabIndex: 0 })}>
      {children}
    </section>
  )
}
