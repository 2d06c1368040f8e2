import { useEffect, useState } from 'preact/hooks'
import { oneLine } from '../words/visible.ts'

let say: (text: string) => void = () => {}

/** Tells in words what has just been done or has changed: to screen readers, and for a few seconds at the foot of the page. */
export function announce(text: string): void {
  say(text)
}

export function Announcements() {
  const [text, setText] = useState('')
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    say = (next) => {
      clearTimeout(timer)
      setText(next)
      timer = setTimeout(() => setText(''), 6_000)
    }
    return () => clearTimeout(timer)
  }, [])
  return (
    <div class="announcements" role="status" aria-live="polite">
      {text !== '' && (
        <p>
          <bdi>{oneLine(text)}</bdi>
        </p>
      )}
    </div>
  )
}
