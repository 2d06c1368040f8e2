import type { Now } from '../../protocol.ts'
import { Sign, severityOf } from '../parts/severity.tsx'
import { Name } from '../parts/text.tsx'
import { href } from '../router.ts'
import { type Finding, verdict } from './verdict.ts'

const SHOWN = 5

/** What is failing, what is stuck, and what else health says: the first thing that is read. */
export function VerdictPanel({ now }: { now: Now }) {
  const { failing, stuck, other } = verdict(now)
  const { status, reasons } = now.health
  return (
    <section class="verdict" aria-label="In short">
      <Group title="Failing now" none="Nothing failed in the last 5 minutes." found={failing} />
      <Group title="Stuck" none="Nothing waits for long." found={stuck} />
      <div class="group">
        <h2>
          <Sign severity={status === 'ok' ? 'ok' : status === 'degraded' ? 'warn' : 'bad'} word="" /> Health: {status}
        </h2>
        {reasons.length === 0 && other.length === 0 && <p class="quiet">No limit is crossed.</p>}
        {reasons.length > 0 && (
          <ul class="reasons">
            {reasons.slice(0, SHOWN).map((reason) => (
              <li key={reason}>
                <Name text={reason} length={200} />
              </li>
            ))}
            {reasons.length > SHOWN && <li class="quiet">and {reasons.length - SHOWN} more</li>}
          </ul>
        )}
        {other.length > 0 && <Findings found={other} />}
      </div>
    </section>
  )
}

function Group({ title, none, found }: { title: string; none: string; found: readonly Finding[] }) {
  const worst = severityOf(Math.max(0, ...found.map(({ trouble }) => trouble)))
  return (
    <div class="group">
      <h2>
        <Sign severity={worst} word="" /> {title}
        {found.length > 0 && <span class="number">{found.length}</span>}
      </h2>
      {found.length === 0 ? <p class="quiet">{none}</p> : <Findings found={found} />}
    </div>
  )
}

function Findings({ found }: { found: readonly Finding[] }) {
  return (
    <ul>
      {found.slice(0, SHOWN).map(({ name, trouble, what }) => (
        <li key={name}>
          <Sign severity={severityOf(trouble)} />
          <span>
            <a href={href({ screen: 'task', name, range: 900 })}>
              <Name text={name} length={48} />
            </a>{' '}
            {what}
          </span>
        </li>
      ))}
      {found.length > SHOWN && <li class="quiet">and {found.length - SHOWN} more in the table</li>}
    </ul>
  )
}
