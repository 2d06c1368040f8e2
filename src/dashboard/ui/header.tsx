import { config } from './config.ts'
import type { LiveState } from './data/live.ts'
import { showHelp } from './parts/keyboard.tsx'
import { prefer, type Theme, usePreferences } from './parts/preferences.ts'
import { Sign } from './parts/severity.tsx'
import { Name } from './parts/text.tsx'
import { Time } from './parts/time.tsx'
import type { Route } from './router.ts'
import { duration } from './words/format.ts'

const PLACES: readonly {
  readonly title: string
  readonly href: string
  readonly screens: readonly Route['screen'][]
}[] = [
  { title: 'Now', href: '#/', screens: ['now', 'task'] },
  { title: 'Traces', href: '#/traces', screens: ['traces', 'trace'] },
  { title: 'Queue', href: '#/queue', screens: ['queue'] },
  { title: 'Profile', href: '#/profile', screens: ['profile'] },
  { title: 'Undeclared', href: '#/undeclared', screens: ['undeclared'] },
  { title: 'Telemetry', href: '#/telemetry', screens: ['telemetry'] },
]

export function Header({ route, live }: { route: Route; live: LiveState }) {
  return (
    <header>
      <p class="brand">
        <strong>Afterspan</strong>
        {config.service !== '' && (
          <span class="service">
            <Name text={config.service} length={40} />
          </span>
        )}
      </p>
      <nav aria-label="Screens">
        <ul>
          {PLACES.map(({ title, href, screens }) => (
            <li key={title}>
              <a
                href={href}
                aria-current={
                  screens[0] === route.screen ? 'page' : screens.includes(route.screen) ? 'true' : undefined
                }
              >
                {title}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <State live={live} />
      <Switches />
    </header>
  )
}

/** How the app is and whether what is shown is live, on every screen. */
function State({ live: { now, failure, streamed } }: { live: LiveState }) {
  if (now === null) return <p class="state">{failure === null ? 'connecting…' : 'not connected'}</p>
  const { status } = now.health
  return (
    <p class="state">
      <span data-tip={now.health.reasons.join(' · ') || 'No limit is crossed.'}>
        <Sign severity={status === 'ok' ? 'ok' : status === 'degraded' ? 'warn' : 'bad'} word="" />
        <b class={`health ${status}`}>{status}</b>
      </span>
      {now.state !== 'open' && <span class="badge strong">{now.state}</span>}
      <span class="quiet" data-tip={`Running for ${duration(now.uptime)}`}>
        {failure === null && streamed ? 'live' : <Time at={now.at} />}
      </span>
    </p>
  )
}

const THEMES: Record<Theme, Theme> = { system: 'dark', dark: 'light', light: 'system' }

function Switches() {
  const { theme, zone } = usePreferences()
  return (
    <p class="switches">
      <button type="button" class="small" onClick={() => prefer({ zone: zone === 'utc' ? 'local' : 'utc' })}>
        <span class="hidden">Times in </span>
        {zone === 'utc' ? 'UTC' : 'local'}
        <span class="hidden"> time</span>
      </button>
      <button type="button" class="small" onClick={() => prefer({ theme: THEMES[theme] })}>
        <span class="hidden">Colours: </span>
        {theme === 'system' ? 'auto' : theme}
      </button>
      <button type="button" class="small" onClick={showHelp} aria-label="Keys and help">
        ?
      </button>
    </p>
  )
}
