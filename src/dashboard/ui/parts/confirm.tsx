import { useEffect, useRef, useState } from 'preact/hooks'
import { act, type Failure } from '../data/ask.ts'
import { announce } from './announce.tsx'
import { Name } from './text.tsx'

export interface Action {
  /** `Pause`, `Cancel the task`: the button says the same. */
  readonly verb: string
  /** What it is done to. */
  readonly subject: string
  readonly consequence: string
  /** What is told when it is done, without its full stop. */
  readonly done: string
  readonly path: string
}

let open: (action: Action, done: () => void) => void = () => {}

/** Asks whether it is meant, then does it; `done` is called only when the server has. */
export function confirm(action: Action, done: () => void): void {
  open(action, done)
}

export function ConfirmDialog() {
  const dialog = useRef<HTMLDialogElement>(null)
  const [asked, setAsked] = useState<{ action: Action; done: () => void } | null>(null)
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<string | null>(null)

  useEffect(() => {
    open = (action, done) => {
      setAsked({ action, done })
      setFailure(null)
      dialog.current?.showModal()
    }
  }, [])

  const perform = async (event: Event) => {
    event.preventDefault()
    if (asked === null || busy) return
    setBusy(true)
    try {
      await act(asked.action.path)
      dialog.current?.close()
      announce(`${asked.action.done}.`)
      asked.done()
    } catch (error) {
      setFailure((error as Failure).message)
    } finally {
      setBusy(false)
    }
  }

  const action = asked?.action
  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" onClose={() => setAsked(null)}>
      {action && (
        <form onSubmit={perform}>
          <h2 id="confirm-title">
            {action.verb} <Name text={action.subject} length={80} />?
          </h2>
          <p>{action.consequence}</p>
          {failure !== null && (
            <p class="failure" role="alert">
              <bdi>{failure}</bdi>
            </p>
          )}
          <p class="buttons">
            <button type="button" onClick={() => dialog.current?.close()}>
              Leave it
            </button>
            <button type="submit" class="primary" disabled={busy}>
              {busy ? 'Asking the server…' : action.verb}
            </button>
          </p>
        </form>
      )}
    </dialog>
  )
}
