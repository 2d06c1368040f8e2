import { type Context, propagation, trace } from '@opentelemetry/api'
import { currentScope } from '../../background/scope.ts'
import type { Carrier } from '../../model/engine.ts'
import { traceparentOf } from '../../telemetry/traceparent.ts'

/** What one attempt leaves for the next one, in a field of the job that BullMQ has for it and that nobody is shown. */
export interface AttemptRecord {
  /** Which start of the job has left it, from 1. */
  readonly attempt: number
  /** When the job may start again, ms since the epoch; undefined where it may not. */
  readonly due: number | undefined
  /** How often BullMQ had found it without a sign of life by then. */
  readonly stalled: number
  /** Of the attempt's span. */
  readonly traceparent: string | undefined
}

/** What travels with a job that is added in this context, as text: where `bullmq-otel` has it, and with the request's route. */
export function metadataOf(context: Context): string {
  const carrier: Record<string, unknown> = {}
  propagation.inject(context, carrier)
  // Where no propagator is registered.
  carrier.traceparent ??= traceparentOf(trace.getSpanContext(context))
  const { method, route } = currentScope()?.origin ?? {}
  if (method !== undefined || route !== undefined) carrier.afterspan = { method, route }
  return JSON.stringify(carrier)
}

/** What has travelled with a job, which may come from anywhere. */
export function carrierOf(metadata: unknown): Carrier | undefined {
  return objectOf(metadata)
}

/** The metadata of a job, and with it what its attempt leaves for the next one. */
export function withRecord(metadata: unknown, record: AttemptRecord): string {
  const carrier = objectOf(metadata) ?? {}
  const { attempt, due, stalled, traceparent } = record
  return JSON.stringify({ ...carrier, afterspanAttempt: { attempt, due, stalled, traceparent } })
}

export function recordOf(metadata: unknown): AttemptRecord | undefined {
  const found = objectOf(metadata)?.afterspanAttempt as Partial<AttemptRecord> | undefined
  if (typeof found?.attempt !== 'number' || typeof found.stalled !== 'number') return undefined
  const { attempt, stalled } = found
  return {
    attempt,
    stalled,
    due: typeof found.due === 'number' ? found.due : undefined,
    traceparent: typeof found.traceparent === 'string' ? found.traceparent : undefined,
  }
}

function objectOf(text: unknown): Record<string, unknown> | undefined {
  if (typeof text !== 'string') return undefined
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
