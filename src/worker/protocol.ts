/** What goes between the main thread and a worker thread; all of it can be cloned. */
import type { MessagePort } from 'node:worker_threads'

export interface Call {
  /** The module's URL. */
  readonly module: string
  readonly payload: unknown
  readonly info: WorkerContext
  /** The attempt's trace context, baggage and all, as the app's propagator writes it. */
  readonly carrier: Record<string, string>
  /** Where what the handler returns goes, if somebody wants it. */
  readonly reply: MessagePort | undefined
  /** How its stacks are to be sampled; undefined: not at all. */
  readonly profile: { readonly rate: number; readonly top: number } | undefined
}

/** What a handler in a worker thread gets beside its payload. */
export interface WorkerContext {
  /** Of the deferral, the same in all its attempts. */
  readonly id: string
  /** The task's name. */
  readonly task: string
  /** From 1. */
  readonly attempt: number
  /** The request that asked for it; undefined outside a request. */
  readonly origin: { readonly method: string | undefined; readonly route: string | undefined } | undefined
}

/** An error as it crosses threads: a class of the app's own does not. */
export interface ThrownInThread {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly code: string | undefined
  /** It was a `RetryAfter` of so many ms, or an `Abandon`. */
  readonly retryAfter: number | undefined
  readonly abandon: boolean
}

export interface Report {
  readonly thrown?: ThrownInThread
  /** CPU seconds of the thread during the run; undefined where Node has no `process.threadCpuUsage`. */
  readonly cpu: number | undefined
  /** By how many bytes the thread's heap in use has grown, below 0 after a collection. */
  readonly heap: number
  /** Where that was asked for: what took most, as text. */
  readonly profile?: string
}
