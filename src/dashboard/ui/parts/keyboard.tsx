import { useEffect, useRef } from 'preact/hooks'

const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'search: the tasks in sight, or traces'],
  ['↑ ↓', 'from row to row'],
  ['Enter', 'open the row, zoom into a frame'],
  ['Esc', 'close, zoom out'],
  ['?', 'this list'],
]

let open: () => void = () => {}

export function showHelp(): void {
  open()
}

/** The keys of the whole page, and the list of them. */
export function Keyboard() {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    open = () => dialog.current?.showModal()
    const pressed = (event: KeyboardEvent) => {
      const writing = (event.target as Element).closest?.('input, select, textarea, dialog')
      if (writing || event.ctrlKey || event.metaKey || event.altKey) return
      if (event.key === '?') showHelp()
      else if (event.key === '/') search()
      else return
      event.preventDefault()
    }
    document.addEventListener('keydown', pressed)
    return () => document.removeEventListener('keydown', pressed)
  }, [])
  return (
    <dialog ref={dialog} aria-labelledby="help-title">
      <form method="dialog">
        <h2 id="help-title">Keys</h2>
        <dl class="keys">
          {KEYS.map(([key, what]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <p class="buttons">
          <button type="submit" class="primary">
            Close
          </button>
        </p>
      </form>
    </dialog>
  )
}

function search(): void {
  const field = document.querySelector<HTMLInputElement>('[data-search]')
  if (field !== null) {
    field.focus()
    return
  }
  location.hash = '#/traces'
  // The screen is drawn when the hash has changed.
  setTimeout(() => document.querySelector<HTMLInputElement>('[data-search]')?.focus(), 50)
}
