import { useState } from 'preact/hooks'
import { announce } from './announce.tsx'

/** An id is cut to be legible and copied whole. */
export function Copy({ text, what }: { text: string; what: string }) {
  const [done, setDone] = useState(false)
  const copy = async () => {
    if (!(await write(text))) return announce(`The ${what} could not be copied.`)
    setDone(true)
    announce(`Copied the ${what}.`)
    setTimeout(() => setDone(false), 2_000)
  }
  return (
    <button type="button" class="small" onClick={copy}>
      {done ? 'copied' : `copy ${what}`}
    </button>
  )
}

/** The clipboard is there only on https and on this machine; elsewhere a selected field does. */
async function write(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const field = document.createElement('textarea')
    field.value = text
    field.className = 'hidden'
    // A modal dialog makes all outside itself inert.
    ;(document.querySelector('dialog[open]') ?? document.body).append(field)
    field.select()
    const done = document.execCommand('copy')
    field.remove()
    return done
  }
}
