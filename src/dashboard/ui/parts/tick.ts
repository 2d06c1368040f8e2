import { useEffect, useState } from 'preact/hooks'
import { isVisible } from '../data/visibility.ts'

const listeners = new Set<() => void>()
let timer: ReturnType<typeof setInterval> | undefined

/** Renders once a second while the tab is seen: for all that shows an age. One timer serves them all. */
export function useTick(): void {
  const [, setTicks] = useState(0)
  useEffect(() => {
    const tick = () => setTicks((ticks) => ticks + 1)
    listeners.add(tick)
    timer ??= setInterval(() => {
      if (isVisible()) for (const listener of listeners) listener()
    }, 1_000)
    return () => {
      listeners.delete(tick)
      if (listeners.size > 0) return
      clearInterval(timer)
      timer = undefined
    }
  }, [])
}
