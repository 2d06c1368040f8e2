import type { RefObject } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

const LINK = 'a.row-link'

/** Makes the whole of a row lead where its link does, and the arrow keys go from row to row. */
export function useRowLinks<T extends HTMLElement>(): RefObject<T | null> {
  const table = useRef<T>(null)
  useEffect(() => {
    const element = table.current
    if (element === null) return
    const row = (event: Event) => (event.target as Element).closest('tr, [role=row]')
    const click = (event: MouseEvent) => {
      const taken = (event.target as Element).closest('a, button, summary, input, select, label')
      // Who selects text in a row wants to copy it.
      if (taken || getSelection()?.type === 'Range') return
      row(event)?.querySelector<HTMLElement>(LINK)?.click()
    }
    const key = (event: KeyboardEvent) => {
      const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
      const current = (event.target as Element).closest(LINK)
      if (step === 0 || current === null) return
      const links = [...element.querySelectorAll<HTMLElement>(LINK)]
      const next = links[links.indexOf(current as HTMLElement) + step]
      if (next === undefined) return
      event.preventDefault()
      next.focus()
    }
    element.addEventListener('click', click)
    element.addEventListener('keydown', key)
    return () => {
      element.removeEventListener('click', click)
      element.removeEventListener('keydown', key)
    }
  })
  return table
}
