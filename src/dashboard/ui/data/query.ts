import { useEffect, useRef, useState } from 'preact/hooks'
import { ask } from './ask.ts'
import { NOTHING, type Polled, Poller } from './poller.ts'

export interface Query<T> extends Polled<T> {
  readonly reload: () => void
}

/** What the server answers to `path`, asked again every `every` ms while the tab is seen; null asks nothing. */
export function useQuery<T>(path: string | null, every: number | null): Query<T> {
  const poller = useRef<Poller<T> | null>(null)
  const [state, setState] = useState<{ path: string | null; polled: Polled<T> }>({ path, polled: NOTHING })
  useEffect(() => {
    if (path === null) return
    const current = new Poller<T>(
      (signal) => ask<T>(path, signal),
      every,
      (polled) => setState({ path, polled }),
    )
    poller.current = current
    return () => current.stop()
  }, [path, every])
  // What was asked for before must not be shown under another name, not for one frame.
  const polled = state.path === path ? state.polled : NOTHING
  return { ...polled, reload: () => poller.current?.reload() }
}
