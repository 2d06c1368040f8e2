import { serverNow } from '../data/server-clock.ts'
import { exact, iso, relative } from '../words/moments.ts'
import { usePreferences } from './preferences.ts'
import { useTick } from './tick.ts'

/** How long ago, or in how long; the exact moment when one points at it or focuses its row. */
export function Time({ at }: { at: number }) {
  useTick()
  const { zone } = usePreferences()
  return (
    <time dateTime={iso(at)} data-tip={exact(at, zone)}>
      {relative(at, serverNow())}
    </time>
  )
}

/** The exact moment, with the age behind it. */
export function Moment({ at }: { at: number }) {
  useTick()
  const { zone } = usePreferences()
  return (
    <time dateTime={iso(at)}>
      {exact(at, zone)} <span class="quiet">({relative(at, serverNow())})</span>
    </time>
  )
}
