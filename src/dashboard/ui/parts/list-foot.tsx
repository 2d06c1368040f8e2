import type { Pages } from '../data/pages.ts'
import { count, counted } from '../words/format.ts'
import { Time } from './time.tsx'

/** How much of a list is here, how old it is, and the way back to its newest state. */
export function ListFoot<T>({ pages, what }: { pages: Pages<T>; what: string }) {
  const { items, total, more, failure, loadMore, following, follow, first } = pages
  return (
    <p class="list-foot">
      <span>
        {!more
          ? counted(items.length, what)
          : total === null
            ? `${counted(items.length, what)} loaded`
            : `${count(items.length)} of ${counted(total, what)} loaded`}
      </span>
      {failure !== null && (
        <span class="failure">
          <bdi>{failure.message}</bdi>
        </span>
      )}
      {more && (
        <button type="button" class="small" onClick={loadMore}>
          {failure === null ? 'Load more' : 'Try again'}
        </button>
      )}
      {!following && (
        <button type="button" class="small" onClick={follow}>
          Show the latest
        </button>
      )}
      {following && first.at !== null && (
        <span class="quiet">
          as of <Time at={first.at} />
        </span>
      )}
    </p>
  )
}
