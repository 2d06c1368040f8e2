import { useEffect, useRef } from 'preact/hooks'
import type { TaskRow } from '../protocol.ts'
import { useLive } from './data/live.ts'
import { Header } from './header.tsx'
import { NowScreen } from './now/now.tsx'
import { summary } from './now/verdict.ts'
import { Announcements, announce } from './parts/announce.tsx'
import { ConfirmDialog } from './parts/confirm.tsx'
import { Keyboard } from './parts/keyboard.tsx'
import { Empty, Failed, Skeleton, Stale } from './parts/states.tsx'
import { Tip } from './parts/tip.tsx'
import { ProfileScreen } from './profile/profile.tsx'
import { QueueScreen } from './queue/queue.tsx'
import type { Route } from './router.ts'
import { TaskScreen } from './task/task.tsx'
import { TelemetryScreen } from './telemetry.tsx'
import { SearchScreen } from './trace/search.tsx'
import { TraceScreen } from './trace/trace.tsx'
import { UndeclaredScreen } from './undeclared.tsx'
import { useRoute } from './use-route.ts'
import { oneLine } from './words/visible.ts'

export function App() {
  const route = useRoute()
  const live = useLive()
  const { now, at, failure, retryAt, reconnect } = live
  const main = useRef<HTMLElement>(null)
  useTitle(route, now === null ? null : summary(now))
  useNewPlace(route, main)
  useHealthAnnounced(now?.health.status ?? null)
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: it leads to a place on the page, and must say so */}
      <a class="skip" href="#content" onClick={(event) => skip(event, main.current)}>
        Skip to the content
      </a>
      <Header route={route} live={live} />
      {/* The other screens ask for themselves, and tell of it themselves. */}
      {route.screen === 'now' && failure !== null && at !== null && (
        <Stale failure={failure} at={at} retryAt={retryAt} retry={reconnect} />
      )}
      <main id="content" ref={main} tabIndex={-1}>
        {route.screen !== 'now' ? (
          <Screen route={route} tasks={now?.tasks ?? null} />
        ) : now !== null ? (
          <>
            <h1 class="hidden">Now</h1>
            <NowScreen now={now} filter={route.filter} />
          </>
        ) : (
          <>
            <h1 class="hidden">Now</h1>
            {failure === null ? (
              <Skeleton rows={14} />
            ) : (
              <Failed failure={failure} retryAt={retryAt} retry={reconnect} />
            )}
          </>
        )}
      </main>
      <Announcements />
      <ConfirmDialog />
      <Keyboard />
      <Tip />
    </>
  )
}

function Screen({ route, tasks }: { route: Exclude<Route, { screen: 'now' }>; tasks: readonly TaskRow[] | null }) {
  switch (route.screen) {
    case 'task':
      return <TaskScreen key={route.name} name={route.name} range={route.range} />
    case 'traces':
      return <SearchScreen search={route.search} />
    case 'trace':
      return <TraceScreen key={route.traceId} traceId={route.traceId} spanId={route.spanId} />
    case 'queue':
      return <QueueScreen tasks={tasks} name={route.name} />
    case 'profile':
      return <ProfileScreen tasks={tasks} name={route.name} id={route.id} />
    case 'undeclared':
      return <UndeclaredScreen />
    case 'telemetry':
      return <TelemetryScreen />
    case 'unknown':
      return (
        <>
          <h1>Nothing is here</h1>
          <Empty title="This address leads to no screen.">
            <a href="#/">Go to Now</a>
          </Empty>
        </>
      )
  }
}

function skip(event: Event, main: HTMLElement | null): void {
  // Its own `#content` would be taken for a screen.
  event.preventDefault()
  main?.focus()
}

const TITLES: Record<Route['screen'], string> = {
  now: 'Now',
  task: 'Task',
  traces: 'Traces',
  trace: 'Trace',
  queue: 'Queue',
  profile: 'Profile',
  undeclared: 'Undeclared work',
  telemetry: 'Telemetry health',
  unknown: 'Nothing here',
}

function useTitle(route: Route, state: string | null): void {
  const name = 'name' in route && route.name !== null ? `${oneLine(route.name.slice(0, 60))} ` : ''
  const title = [state, `${name}${TITLES[route.screen]}`, 'Afterspan'].filter(Boolean).join(' · ')
  useEffect(() => {
    document.title = title
  }, [title])
}

/** Who follows a link goes on at the top of the new screen, also with the keyboard. */
function useNewPlace(route: Route, main: { current: HTMLElement | null }): void {
  const place = [route.screen, 'name' in route ? route.name : '', 'traceId' in route ? route.traceId : ''].join('/')
  const last = useRef(place)
  useEffect(() => {
    if (last.current === place) return
    last.current = place
    scrollTo(0, 0)
    main.current?.focus({ preventScroll: true })
  }, [place, main])
}

function useHealthAnnounced(status: string | null): void {
  const last = useRef<string | null>(null)
  useEffect(() => {
    if (status === null || status === last.current) return
    if (last.current !== null) announce(`Health is now ${status}.`)
    last.current = status
  }, [status])
}
