import { useEffect, useRef, useState } from 'preact/hooks'
import { cut, oneLine } from '../words/visible.ts'

/**
 * The one tooltip of the page: of whatever has `data-tip` and is pointed at or focused. In a row of a table that has the focus
 * it is the row's first time, so that the keyboard gets at what the pointer does.
 */
export function Tip() {
  const [shown, setShown] = useState<{ text: string; box: DOMRect } | null>(null)
  const element = useRef<HTMLDivElement>(null)

  useEffect(() => {
    const show = (owner: Element | null | undefined) => {
      const text = owner?.getAttribute('data-tip')
      setShown(owner && text ? { text, box: owner.getBoundingClientRect() } : null)
    }
    const pointed = (event: Event) => show((event.target as Element).closest?.('[data-tip]'))
    const focused = (event: FocusEvent) => {
      const target = event.target as Element
      if (!target.matches(':focus-visible')) return
      show(target.closest('[data-tip]') ?? target.closest('tr, [role=row]')?.querySelector('time[data-tip]'))
    }
    const hide = () => setShown(null)
    const escaped = (event: KeyboardEvent) => event.key === 'Escape' && hide()
    document.addEventListener('pointerover', pointed)
    document.addEventListener('focusin', focused)
    document.addEventListener('focusout', hide)
    document.addEventListener('keydown', escaped)
    document.addEventListener('scroll', hide, true)
    return () => {
      document.removeEventListener('pointerover', pointed)
      document.removeEventListener('focusin', focused)
      document.removeEventListener('focusout', hide)
      document.removeEventListener('keydown', escaped)
      document.removeEventListener('scroll', hide, true)
    }
  }, [])

  useEffect(() => {
    const tip = element.current
    if (tip === null || shown === null) return
    const { box } = shown
    const left = Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 4))
    const below = box.bottom + 4
    tip.style.left = `${left}px`
    tip.style.top = `${below + tip.offsetHeight > innerHeight ? box.top - tip.offsetHeight - 4 : below}px`
  }, [shown])

  return (
    <div class="tip" ref={element} role="tooltip" hidden={shown === null}>
      {shown && <bdi>{cut(oneLine(shown.text), 500)}</bdi>}
    </div>
  )
}
