import type { ComponentChildren } from 'preact'
import type { Failure } from '../data/ask.ts'
import type { Query } from '../data/query.ts'
import { duration } from '../words/format.ts'
import { useTick } from './tick.ts'

const TITLES = new Map([
  [401, 'You are not signed in'],
  [403, 'You may not see this'],
  [404, 'Not found'],
  [503, 'The server does not answer questions now'],
])

function titleOf({ status }: Failure): string {
  if (status === null) return 'Connection lost'
  return TITLES.get(status) ?? `The server answered ${status}`
}

/** Grey lines where rows will be, as high as they will be. */
export function Skeleton({ rows = 6 }: { rows?: number }) {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => (
        <i key={row} />
      ))}
    </div>
  )
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p>
        <strong>{title}</strong>
      </p>
      {children}
    </div>
  )
}

/** In place of a screen that has nothing to show yet. */
export function Failed({ failure, retryAt, retry }: { failure: Failure; retryAt: number | null; retry: () => void }) {
  return (
    <div class="empty failed" role="alert">
      <p>
        <strong>{titleOf(failure)}</strong>
      </p>
      <p>
        <bdi>{failure.message}</bdi>
      </p>
      <Retry retryAt={retryAt} retry={retry} />
    </div>
  )
}

/** Above what is still shown, but grows old. */
export function Stale(props: { failure: Failure; at: number; retryAt: number | null; retry: () => void }) {
  useTick()
  const { failure, at, retryAt, retry } = props
  return (
    <section class="banner" aria-label="Connection">
      <p role="status">
        <strong>{titleOf(failure)}.</strong> <bdi>{failure.message}</bdi>
      </p>
      <p>
        What you see is <strong>{duration(Math.max(1, Math.round((Date.now() - at) / 1_000)))} old</strong>.
      </p>
      <Retry retryAt={retryAt} retry={retry} />
    </section>
  )
}

function Retry({ retryAt, retry }: { retryAt: number | null; retry: () => void }) {
  useTick()
  const left = retryAt === null ? null : Math.max(0, Math.ceil((retryAt - Date.now()) / 1_000))
  return (
    <p class="retry">
      {left !== null && <span>{left === 0 ? 'Trying again…' : `Next try in ${left} s.`}</span>}
      <button type="button" onClick={retry}>
        Try now
      </button>
    </p>
  )
}

/** The states that every screen has, once: loading, failed, old, and the data at last. */
export function Loaded<T>(props: { query: Query<T>; rows?: number; children: (data: T) => ComponentChildren }) {
  const { data, at, failure, retryAt, reload } = props.query
  if (data === null || at === null) {
    if (failure === null) return <Skeleton rows={props.rows ?? 6} />
    return <Failed failure={failure} retryAt={retryAt} retry={reload} />
  }
  return (
    <>
      {failure && <Stale failure={failure} at={at} retryAt={retryAt} retry={reload} />}
      {props.children(data)}
    </>
  )
}
