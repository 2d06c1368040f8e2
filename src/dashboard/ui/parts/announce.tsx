import { useEffect, useState } from 'preact/hooks'
import { oneLine } from '../words/visible.ts'

const SHOWN = 6_000
/** At most so many at once, the latest: what comes meanwhile does not put out what was just said. */
const MOST = 3

let say: (text: string) => void = () => {}
let last = 0

/** Tells in words what has just been done or has changed: to screen readers, and for a few seconds at the foot of the page. */
export function announce(text: string): void {
  say(text)
}

export function Announcements() {
  const [shown, setShown] = useState<readonly { id: number; text: string }[]>([])
  useEffect(() => {
    const timers = new Set<ReturnType<typeof setTimeout>>()
    say = (text) => {
      const id = ++last
      setShown((before) => [...before, { id, text }].slice(-MOST))
      const timer = setTimeout(() => {
        timers.delete(timer)
        setShown((before) => before.filter((one) => one.id !== id))
      }, SHOWN)
      timers.add(timer)
    }
    return () => {
      say = () => {}
      for (const timer of timers) clearTimeout(timer)
    }
  }, [])
  return (
    <div class="announcements" role="status" aria-live="polite">
      {shown.map(({ id, text }) => (
        <p key={id}>
          <bdi>{oneLine(text)}</bdi>
        </p>
      ))}
    </div>
  )
}
