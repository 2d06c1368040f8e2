import { useEffect, useRef, useState } from 'preact/hooks'
import { ask } from './ask.ts'
import { NOTHING, type Polled, Poller } from './poller.ts'

export interface Query<T> extends Polled<T> {
  readonly reload: () => void
}

type Every<T> = number | null | ((data: T) => number | null)

/** What the server answers to `path`, asked again every `every` ms while the tab is seen. Without a path nothing is asked. */
export function useQuery<T>(path: string | null, every: Every<T>): Query<T> {
  const interval = useRef(every)
  interval.current = every
  const poller = useRef<Poller<T> | null>(null)
  const [state, setState] = useState<{ path: string | null; polled: Polled<T> }>({ path, polled: NOTHING })
  useEffect(() => {
    if (path === null) return
    const current = new Poller<T>(
      (signal) => ask<T>(path, signal),
      (data) => (typeof interval.current === 'function' ? interval.current(data) : interval.current),
      (polled) => setState({ path, polled }),
    )
    poller.current = current
    return () => current.stop()
  }, [path])
  // What was asked for before must not be shown under another name, not for one frame.
  const polled = state.path === path ? state.polled : NOTHING
  return { ...polled, reload: () => poller.current?.reload() }
}
