import { AsyncLocalStorage } from 'node:async_hooks'
import { context, type Span, type SpanContext, trace } from '@opentelemetry/api'
import type { Origin } from '../model/origin.ts'
import { selfHealth } from '../telemetry/self-health.ts'

/** How a response was over. */
export type Ending = 'finished' | 'aborted' | 'errored' | 'expired'

/** What waits for the end of a response. */
export interface Waiting {
  /** The response is over; called once. */
  responseOver(ending: Ending): void
}

/** Where code runs that may defer: in a request, in a running attempt, or both when the attempt's task came from a request. */
export interface Scope {
  readonly origin: Origin | undefined
  /** The span that what is deferred here hangs on. */
  readonly spanContext: SpanContext | undefined
  /** Clock ms of the earliest code in it. */
  readonly since: number
  /** Where to wait for the end of the response; undefined when it is over, and in a running attempt. */
  readonly response: { add(waiting: Waiting): void } | undefined
}

const storage = new AsyncLocalStorage<Scope>()
const BY_REQUEST = Symbol('afterspan.scope')

/** Runs code in a scope, and what it starts. */
export function inScope<T>(scope: Scope, run: () => T): T {
  return storage.run(scope, run)
}

/**
 * Lets a scope be found by the request's SERVER span as well: code that has lost its AsyncLocalStorage (a stream parser that
 * calls back from the socket) often still has OpenTelemetry's context, which is bound to the request's events.
 */
export function rememberBySpan(scope: Scope): void {
  // On OpenTelemetry's own object for this request: a WeakMap with an entry per request is dear to the garbage collector.
  const metadata = rpcMetadata()
  if (metadata?.span !== undefined && Object.isExtensible(metadata)) metadata[BY_REQUEST] = scope
}

/** The scope of the running code. */
export function currentScope(): Scope | undefined {
  const scope = storage.getStore()
  if (scope !== undefined) return scope
  return rpcMetadata()?.[BY_REQUEST]
}

/**
 * The key under which OpenTelemetry's HTTP instrumentation keeps its SERVER span and the matched route (`RPCMetadata` in
 * `@opentelemetry/core`, whose keys are made by `createContextKey`, that is `Symbol.for`). In a handler the active span is
 * Express' INTERNAL one, so this is the only way to the request's own span.
 */
const RPC_METADATA = Symbol.for('OpenTelemetry SDK Context Key RPC_METADATA')

interface RpcMetadata {
  readonly span?: { spanContext(): SpanContext }
  readonly route?: string
  [BY_REQUEST]?: Scope
}

/** What the HTTP instrumentation knows of the current request. */
export function rpcMetadata(): RpcMetadata | undefined {
  return context.active().getValue(RPC_METADATA) as RpcMetadata | undefined
}

/** Notes something on the SERVER span of the current request. */
export function noteOnRequest(attribute: string, value: boolean): void {
  const span = (rpcMetadata()?.span ?? trace.getActiveSpan()) as Partial<Span> | undefined
  try {
    span?.setAttribute?.(attribute, value)
  } catch {
    selfHealth.caught('span')
  }
}

/** The span context of the current request: of its SERVER span, or else of whatever span is active. */
export function requestSpanContext(): SpanContext | undefined {
  return rpcMetadata()?.span?.spanContext() ?? trace.getActiveSpan()?.spanContext()
}
