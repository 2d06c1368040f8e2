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
}

interface Read<T> {
  readonly path: string
  readonly items: readonly T[]
  readonly next: string | null
}

/** A list that comes in pages: the first again and again, the others as they are asked for. */
export function usePages<T>(path: string, every: number, atTop: boolean): Pages<T> {
  const first = useQuery<Page<T>>(path, every)
  const [read, setRead] = useState<Read<T> | null>(null)
  const [failure, setFailure] = useState<Failure | null>(null)
  const asking = useRef<AbortController | null>(null)

  useEffect(() => {
    setFailure(null)
    return () => {
      asking.current?.abort()
      asking.current = null
    }
  }, [path])

  const latest: Read<T> | null = first.data && { path, items: first.data.items, next: first.data.next }
  const kept = read !== null && read.path === path ? read : null
  const following = kept === null
  const shown = kept ?? latest

  // Who scrolls down reads on in what there was then.
  useEffect(() => {
    if (!atTop && kept === null && latest !== null) setRead(latest)
  }, [atTop, kept, latest])

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
        setRead({ path, items: [...shown.items, ...page.items], next: page.next })
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
    total: first.data?.total ?? null,
    more: next !== null,
    failure,
    loadMore,
    following,
    follow: () => {
      setRead(null)
      first.reload()
    },
  }
}
