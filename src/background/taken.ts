import { AsyncResource } from 'node:async_hooks'
import { type Context, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import type { Clock } from '../model/clock.ts'
import type { Carrier, Taken } from '../model/engine.ts'
import type { DeferOptions } from '../model/options.ts'
import { PRIORITIES } from '../model/words.ts'
import type { Verdict } from '../scheduler/scheduler.ts'
import type { TaskQueue } from '../scheduler/task-queue.ts'
import type { MessagingQueue } from '../telemetry/spans.ts'
import type { TaskTrace, Telemetry } from '../telemetry/telemetry.ts'
import { parseTraceparent, traceparentOf } from '../telemetry/traceparent.ts'
import { Deferral, type Handler } from './deferral.ts'
import type { Scope } from './scope.ts'

/** What a job that was taken runs as. */
export interface Role {
  readonly name: string
  readonly task: TaskQueue<Deferral>
  readonly messaging: MessagingQueue
  /** The asynchronous context it runs in; undefined: the one in which it is taken. */
  readonly resource: AsyncResource | undefined
}

/** A job of such a queue: its engine is told nothing, but is asked what has become of it. */
export interface WatchedJob extends Taken {
  /** Once `complete` or `fail` has resolved; undefined: it will be run again, or is somebody else's. */
  readonly outcome: 'completed' | 'failed' | undefined
  /** Why it has failed. */
  readonly error: unknown
  readonly relation: 'link' | 'none'
}

export interface TakenOptions {
  readonly clock: Clock
  readonly telemetry: Telemetry
  /** The next number in the order of deferrals. */
  readonly next: () => number
}

/** A job that an engine gave, as one of this process; undefined `taken`: it was taken out so that nobody runs it. */
export function deferralOf(
  { clock, telemetry, next }: TakenOptions,
  role: Role,
  id: string,
  taken: Taken | undefined,
  handler: Handler<never>,
): Deferral {
  const now = clock.now()
  const carrier = taken?.carrier ?? {}
  const sent = contextOf(carrier)
  // Without a propagator there is no baggage, and the trace goes on nevertheless.
  const parent = trace.getSpanContext(sent) ?? parseTraceparent(carrier.traceparent)
  const { method, route } = textOf(carrier.afterspan)
  const origin =
    method === undefined && route === undefined && parent === undefined
      ? undefined
      : { spanContext: parent, method, route, endedAt: undefined }
  const scope: Scope = { origin, spanContext: parent, since: now, response: undefined }
  const priority = PRIORITIES.find((word) => word === (taken?.priority ?? carrier.afterspan?.priority))
  const relation = taken !== undefined && isWatched(taken) ? taken.relation : 'link'
  const options: DeferOptions = { relation, ...(priority !== undefined && { priority }) }
  const work = {
    payload: taken?.payload,
    handler,
    batch: undefined,
    adopted: true,
    cancel: () => false,
    engine: { queue: role.messaging, taken, acceptance: undefined, lost: false },
  }
  const accepted = now - Math.max(0, Date.now() - (taken?.acceptedAt ?? Date.now()))
  const traced: TaskTrace = telemetry.trace(role.name)
  traced.previous = parseTraceparent(taken?.previous)
  const inContext = sent === ROOT_CONTEXT ? sent : trace.deleteSpan(sent)
  const task = role.task as unknown as TaskQueue<never>
  const job = new Deferral(id, next(), task, options, accepted, work, scope, traced, inContext)
  job.resource = role.resource ?? new AsyncResource('AfterspanEngineTask')
  return job
}

/** Of the engine's own worker: it decides. */
export function isWatched(taken: Taken): taken is WatchedJob {
  return 'outcome' in taken
}

/** What a carrier says of its trace: it may come from anywhere, and a propagator may throw on what it finds there. */
function contextOf(carrier: Carrier): Context {
  // A propagator finds no more in it than its `traceparent`, which is read without one.
  if (Object.keys(carrier).every((key) => key === 'traceparent' || key === 'afterspan')) return ROOT_CONTEXT
  try {
    return propagation.extract(ROOT_CONTEXT, carrier)
  } catch {
    return ROOT_CONTEXT
  }
}

/** Tells the engine how an attempt has ended; false where the job is somebody else's by now. */
export function tell(job: Deferral, taken: Taken, verdict: Verdict): Promise<boolean> {
  if (verdict.outcome === 'completed') return taken.complete()
  const outlives = job.engine?.handled !== true
  const failure = { error: verdict.error, traceparent: traceparentOf(job.trace.previous), outlives }
  if (verdict.outcome === 'failed') return taken.fail(failure)
  return verdict.failed ? taken.retry(verdict.delay, failure) : taken.release(outlives)
}

/** Strings of what came over the wire, which may be anything. */
function textOf(origin: { readonly method?: unknown; readonly route?: unknown } | undefined): {
  method: string | undefined
  route: string | undefined
} {
  const text = (value: unknown) => (typeof value === 'string' ? value.slice(0, 1_000) : undefined)
  return { method: text(origin?.method), route: text(origin?.route) }
}
