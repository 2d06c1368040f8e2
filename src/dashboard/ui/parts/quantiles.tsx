import type { Quantiles } from '../../protocol.ts'
import { short } from '../words/format.ts'
import { Hidden } from './text.tsx'

const STEPS = ['p50', 'p95', 'p99'] as const

/** Three numbers in three columns; each says for itself what it is where the head of the table is not read along. */
export function QuantileCells({ of }: { of: Quantiles }) {
  return (
    <span class="triple">
      {STEPS.map((step) => (
        <span key={step}>
          <Hidden>{`${step} `}</Hidden>
          {short(of[step])}
        </span>
      ))}
    </span>
  )
}

export function QuantileHead({ title }: { title: string }) {
  return (
    <>
      {title}
      <span class="triple small" aria-hidden="true">
        {STEPS.map((step) => (
          <span key={step}>{step}</span>
        ))}
      </span>
    </>
  )
}
