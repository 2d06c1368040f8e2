import { imbalance, ledgerLine } from '../model/ledger.ts'
import { recentTraces } from '../telemetry/recent-traces.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import { undeclaredWork } from '../telemetry/undeclared.ts'
import type { TelemetryHealth, UndeclaredRow } from './protocol.ts'
import type { Source } from './source.ts'

/** What *Telemetry health* shows. */
export function telemetryHealthOf({ tasks, inspection }: Source): TelemetryHealth {
  const entries = [...selfHealth.entries()]
  const of = (wanted: string) =>
    entries.filter(({ metric }) => metric === wanted).map(({ reason, count }) => ({ reason, count }))
  const kept = recentTraces.source?.kept() ?? { spans: 0, traces: 0, bytes: 0, limit: 0 }
  const ledger = tasks.ledger()
  return {
    lost: of('telemetryLost'),
    capped: of('telemetryCapped'),
    caught: of('telemetryCaught'),
    sampled: of('telemetrySampled'),
    kept: { ...kept, bytes: kept.bytes + inspection.bytes },
    tracing: recentTraces.source !== undefined,
    ledger: { line: ledgerLine(ledger), balanced: imbalance(ledger) === 0 },
  }
}

/** What *Undeclared work* shows: the most time first. */
export function undeclaredOf(): UndeclaredRow[] {
  return undeclaredWork.read().map(({ route, span, count, total, max, traceId }) => {
    const name = JSON.stringify(span)
    const where = route === undefined ? 'where it is started' : `in the handler of ${route}`
    return {
      route: route ?? null,
      span,
      count,
      total,
      max,
      traceId,
      suggestion: `tasks.defer(${name}, () => …) ${where}; or tasks.track(${name}, promise) for a promise that runs already`,
    }
  })
}
