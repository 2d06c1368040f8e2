import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import type { Page } from '../../protocol.ts'
import { ask, type Failure } from './ask.ts'
import { type Query, useQuery } from './query.ts'

export interface Pages<T> {
  /** The first page, as it is now. */
  readonly first: Query<Page<T>>
  readonly items: readonly T[]
  readonly total: number | null
  /** Whether there are more than `items`. */
  readonly more: boolean
  readonly failure: Failure | null
  readonly loadMore: () => void
  /** Whether `items` begin with the first page as it is now: not while somebody reads further down, where rows must not move. */
  readonly following: boolean
  readonly follow: () => void
  /** To be told when the list is scrolled away from its top, and back. */
  readonly onTop: (top: boolean) => void
  /** To be told when somebody points at the list or goes through it, and when that is over: rows must not move away then. */
  readonly onHold: (held: boolean) => void
  /** Changes when the list is to begin at its top again. */
  readonly generation: number
  /** Takes out what is known to be there no more. */
  readonly remove: (gone: (item: T) => boolean) => void
}

interface Read<T> {
  readonly path: string
  readonly items: readonly T[]
  readonly next: string | null
  readonly total: number | null
  /** It has more than the first page. */
  readonly further: boolean
}

/** A list that comes in pages: the first again and again, the others as they are asked for. */
export function usePages<T>(path: string, every: number): Pages<T> {
  const first = useQuery<Page<T>>(path, every)
  const [read, setRead] = useState<Read<T> | null>(null)
  const [top, setTop] = useState(true)
  const [held, setHeld] = useState(false)
  const [generation, setGeneration] = useState(0)
  const [failure, setFailure] = useState<Failure | null>(null)
  const asking = useRef<AbortController | null>(null)

  useEffect(() => {
    setFailure(null)
    return () => {
      asking.current?.abort()
      asking.current = null
    }
  }, [path])

  const latest: Read<T> | null = first.data && {
    path,
    items: first.data.items,
    next: first.data.next,
    total: first.data.total,
    further: false,
  }
  const kept = read !== null && read.path === path ? read : null
  const reading = !top || kept?.further === true
  const shown = kept ?? latest

  // Who scrolls down or points at a row goes on in what there was then.
  useEffect(() => {
    if ((reading || held) && kept === null && latest !== null) setRead(latest)
    else if (!reading && !held && kept !== null) setRead(null)
  }, [reading, held, kept, latest])

  const next = shown?.next ?? null
  const loadMore = useCallback(() => {
    if (next === null || shown === null || asking.current !== null) return
    const controller = new AbortController()
    asking.current = controller
    const joint = path.includes('?') ? '&' : '?'
    ask<Page<T>>(`${path}${joint}after=${encodeURIComponent(next)}`, controller.signal).then(
      (page) => {
        if (controller.signal.aborted) return
        asking.current = null
        setFailure(null)
        setRead({ path, items: [...shown.items, ...page.items], next: page.next, total: page.total, further: true })
      },
      (problem: Failure) => {
        if (controller.signal.aborted) return
        asking.current = null
        setFailure(problem)
      },
    )
  }, [path, next, shown])

  return {
    first,
    items: shown?.items ?? [],
    total: shown?.total ?? null,
    more: next !== null,
    failure,
    loadMore,
    following: !reading,
    follow: () => {
      setRead(null)
      setTop(true)
      setHeld(false)
      setGeneration(generation + 1)
      first.reload()
    },
    onTop: setTop,
    onHold: setHeld,
    generation,
    remove: (gone) => {
      if (kept !== null) setRead({ ...kept, items: kept.items.filter((item) => !gone(item)) })
      first.reload()
    },
  }
}
