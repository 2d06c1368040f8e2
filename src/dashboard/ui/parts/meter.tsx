import type { ComponentChildren } from 'preact'
import { ratio } from '../words/format.ts'
import { Sign } from './severity.tsx'

/** How much of a limit is used. From 80 % on it has a sign, at the limit another one. */
export function Meter(props: { label: string; used: number; limit: number; children?: ComponentChildren }) {
  const { label, used, limit, children } = props
  const share = limit > 0 ? Math.min(1, used / limit) : 0
  const severity = share >= 1 ? 'bad' : share >= 0.8 ? 'warn' : 'ok'
  return (
    <div class={`meter ${severity}`}>
      <span class="value">
        {severity !== 'ok' && <Sign severity={severity} word={severity === 'bad' ? 'full' : 'nearly full'} />}
        {children}
      </span>
      {/* biome-ignore lint/a11y/useSemanticElements: <meter> cannot be styled alike in all browsers */}
      <span
        class="bar"
        role="meter"
        aria-label={label}
        aria-valuenow={Math.round(share * 100)}
        aria-valuetext={ratio(share)}
        aria-valuemin={0}
        aria-valuemax={100}
      >
        <i style={{ width: `${share * 100}%` }} />
      </span>
    </div>
  )
}
