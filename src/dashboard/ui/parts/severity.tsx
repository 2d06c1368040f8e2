import { Hidden } from './text.tsx'

export type Severity = 'ok' | 'warn' | 'bad'

/** Of `trouble`, 0 to 1. */
export function severityOf(trouble: number): Severity {
  if (trouble >= 0.5) return 'bad'
  return trouble > 0 ? 'warn' : 'ok'
}

const WORDS = { ok: 'fine', warn: 'degraded', bad: 'unhealthy' }

/** Three signs that differ in form, so that nobody needs the colour: a ring, a triangle, a square. */
export function Sign({ severity, word = WORDS[severity] }: { severity: Severity; word?: string }) {
  return (
    <span class={`sign ${severity}`}>
      <svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
        {severity === 'ok' && <circle cx="5" cy="5" r="3.4" />}
        {severity === 'warn' && <path d="M5 0.8 9.6 9.2H0.4Z" />}
        {severity === 'bad' && <path d="M0.8 0.8H9.2V9.2H0.8Z" />}
      </svg>
      {word !== '' && <Hidden>{`${word} `}</Hidden>}
    </span>
  )
}
