/**
 * What the page asks its server, and what it gets: the one place that both sides read. Paths are relative to where `dashboard`
 * is mounted. Times are epoch milliseconds, durations seconds; `null` stands for "not measured".
 *
 * | request | answer |
 * | --- | --- |
 * | `GET api/now` | `Now` |
 * | `GET api/events` | server-sent events: `now` (a `Now`) each second, `lost` when the reader was too slow and some were left out |
 * | `GET api/tasks/:name?range=900` | `TaskDetail`; `range` 900 or 3600 seconds |
 * | `GET api/tasks/:name/profile?id=` | `ProfileDetail`; with `id` (`AttemptRow.profile`) that of one attempt; 404 where there is none |
 * | `GET api/tasks/:name/waiting?after=…` | `Page<WaitingTask>`, in the order in which they start |
 * | `GET api/traces?trace=&id=&task=&route=&error=&failed=1&after=` | `Page<TraceRow>`, the latest first; `trace` may be the beginning of an id, `error` any part of a type or message |
 * | `GET api/traces/:traceId` | `TraceDetail` |
 * | `GET api/undeclared` · `GET api/telemetry` | `UndeclaredRow[]` · `TelemetryHealth` |
 * | `POST api/tasks/:name/pause` · `resume` · `drain` · `POST api/waiting/:id/cancel` · `POST api/failed/:id/retry` | 204; 403 where actions are off |
 *
 * Errors are `Problem`, with the status of HTTP. A POST carries the header `x-afterspan-csrf` with `Config.csrf`.
 */

/** In the page itself, as JSON in `<script type="application/json" id="config">`. */
export interface Config {
  readonly version: string
  readonly service: string
  /** Whether pause, resume, drain, cancel and retry are allowed. */
  readonly actions: boolean
  readonly csrf: string
  /** Jaeger's page, with `{traceId}` in place of the trace; null where it is not given. */
  readonly traceUrl: string | null
  /** Whether payloads are shown. */
  readonly payloads: boolean
  /** Whether the profiler runs. */
  readonly profiler: boolean
}

export interface Problem {
  readonly code: string
  /** What is wrong and what to do. */
  readonly message: string
}

export interface Page<T> {
  readonly items: readonly T[]
  /** To be given as `after` for the next ones; null at the end. */
  readonly next: string | null
  /** How many there are in all, as far as that is known. */
  readonly total: number | null
}

export interface Quantiles {
  readonly count: number
  readonly p50: number | null
  readonly p95: number | null
  readonly p99: number | null
  readonly max: number | null
}

export type TaskMode = 'running' | 'paused' | 'draining'

/** One task in the list *Now*. Rates, ratios and quantiles are those of the last five minutes. */
export interface TaskRow {
  readonly name: string
  readonly mode: TaskMode
  /** undefined in JSON: it runs in this process. */
  readonly engine?: { readonly system: string; readonly queue: string; readonly up: boolean | null }
  /** Outcomes per second. */
  readonly rate: number
  /** Share of those that completed or failed which failed, 0 to 1; null where none did. */
  readonly failureRatio: number | null
  readonly failed: number
  readonly retries: number
  readonly wait: Quantiles
  readonly duration: Quantiles
  readonly effect: Quantiles
  readonly waiting: number
  /** Age of the oldest ready one, seconds; null where none is. */
  readonly oldest: number | null
  readonly running: number
  readonly zombies: number
  /** The last 15 minutes in 60 parts, the oldest first: outcomes that completed, and that failed. */
  readonly sparkline: { readonly completed: readonly number[]; readonly failed: readonly number[] }
  /** By how much it needs somebody's attention, 0 to 1, from 0.5 on shown as unhealthy; the list is sorted by it. */
  readonly trouble: number
  /** In words, the worst first; empty where all is well. */
  readonly reasons: readonly string[]
}

/** Who held the event loop in the last five minutes. */
export interface Blocker {
  readonly task: string
  readonly seconds: number
  readonly longest: number
  readonly stalls: number
  /** `name (file:line)`; null where it is not known. */
  readonly place: string | null
}

export interface Now {
  readonly at: number
  readonly state: 'open' | 'draining' | 'closed'
  /** Seconds since the process began. */
  readonly uptime: number
  readonly health: { readonly status: 'ok' | 'degraded' | 'unhealthy'; readonly reasons: readonly string[] }
  readonly concurrency: { readonly limit: number; readonly used: number }
  readonly queue: { readonly limit: number | null; readonly waiting: number }
  readonly governor: {
    readonly delay: number
    readonly maxLoopDelay: number
    readonly limits: Readonly<Record<'high' | 'medium' | 'low', number>>
    readonly holdsBack: boolean
  } | null
  readonly heap: { readonly used: number; readonly limit: number; readonly guarded: boolean }
  /** The event loop's delay in the last five minutes, and the requests', while tasks ran and while none did. */
  readonly loop: { readonly running: Quantiles; readonly idle: Quantiles; readonly blockers: readonly Blocker[] }
  readonly requests: { readonly running: Quantiles; readonly idle: Quantiles }
  readonly tasks: readonly TaskRow[]
}

/** A value for each of `times`; null where there is none. */
export type Line = readonly (number | null)[]

export interface AttemptRow {
  readonly id: string
  readonly attempt: number
  readonly at: number
  readonly wait: number
  readonly duration: number
  readonly result: 'ok' | 'error' | 'timeout' | 'cancelled'
  readonly error: string | null
  readonly route: string | null
  /** null where it was not sampled. */
  readonly traceId: string | null
  /** Id of its automatic profile. */
  readonly profile: string | null
}

export interface TaskDetail {
  readonly row: TaskRow
  readonly options: {
    readonly priority: 'high' | 'medium' | 'low'
    readonly concurrency: number | null
    readonly timeout: number | null
    readonly attempts: number
    readonly batch: { readonly maxSize: number; readonly maxWait: number } | null
  }
  readonly charts: {
    /** Epoch seconds, as uPlot wants them. */
    readonly times: readonly number[]
    /** Per second, as `failed` and `retries`. */
    readonly completed: Line
    readonly failed: Line
    readonly retries: Line
    readonly waiting: Line
    readonly running: Line
    readonly wait: { readonly p50: Line; readonly p95: Line; readonly p99: Line }
    readonly duration: { readonly p50: Line; readonly p95: Line; readonly p99: Line }
    readonly effect: { readonly p50: Line; readonly p95: Line; readonly p99: Line }
  }
  /**
   * Of the duration in the range: upper bounds in seconds, all finite, and how many lie below each but above the one before.
   */
  readonly histogram: { readonly bounds: readonly number[]; readonly counts: readonly number[] }
  readonly errors: readonly {
    readonly type: string
    readonly count: number
    readonly lastAt: number
    readonly example: {
      readonly message: string
      readonly stack: string | null
      readonly traceId: string | null
      readonly id: string
    }
  }[]
  readonly slowest: readonly AttemptRow[]
  readonly latest: readonly AttemptRow[]
  readonly failed: readonly FailedTask[]
}

export interface FailedTask {
  readonly id: string
  readonly at: number
  readonly attempts: number
  readonly error: string
  readonly traceId: string | null
  /** It can be deferred again: its payload is still there. */
  readonly retryable: boolean
}

export interface WaitingTask {
  readonly id: string
  readonly task: string
  readonly state: 'held' | 'delayed' | 'ready' | 'retrying'
  readonly priority: 'high' | 'medium' | 'low'
  readonly deferredAt: number
  /** When it may start at the earliest; null where that is now, or not known. */
  readonly due: number | null
  readonly attempt: number
  readonly route: string | null
  readonly traceId: string | null
  /** Only where payloads are shown: JSON, cut at 2,000 characters. */
  readonly payload?: string
}

export interface TraceRow {
  readonly traceId: string
  readonly at: number
  /** Method and route of the request, or the name of the root span. */
  readonly title: string
  readonly route: string | null
  readonly status: number | null
  /** From the first start to the last end of its spans, seconds. */
  readonly duration: number
  readonly tasks: readonly string[]
  readonly failed: boolean
  readonly spans: number
}

export interface TraceSpan {
  readonly spanId: string
  readonly traceId: string
  readonly parent: string | null
  readonly name: string
  readonly kind: 'internal' | 'server' | 'client' | 'producer' | 'consumer'
  /** Epoch milliseconds, with a fraction. */
  readonly start: number
  /** null as long as it has not ended. */
  readonly end: number | null
  readonly error: string | null
  readonly attributes: readonly (readonly [key: string, value: string])[]
  readonly events: readonly {
    readonly at: number
    readonly name: string
    readonly attributes: readonly (readonly [string, string])[]
  }[]
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  /** Only of attempts. */
  readonly task?: {
    readonly name: string
    readonly id: string
    readonly attempt: number
    readonly wait: number
    readonly result: string | null
  }
  /** It began or ended after the response. */
  readonly late: boolean
}

export interface TraceDetail {
  readonly traceId: string
  /** Its own spans, and those of traces that are linked to it, in the order of their start. */
  readonly spans: readonly TraceSpan[]
  /** Spans that it had and that are not kept any more. */
  readonly missing: number
  /** When the response was over; null where there was none. */
  readonly respondedAt: number | null
}

export interface ProfileDetail {
  readonly task: string
  /** Seconds that the samples cover. */
  readonly seconds: number
  /** Seconds of them in which the task had the event loop, and of CPU that it used; all other figures are of the first. */
  readonly busy: number
  readonly cpu: number
  readonly samples: number
  readonly top: readonly {
    readonly name: string
    readonly file: string | null
    readonly line: number | null
    readonly self: number
    readonly total: number
  }[]
  /** The flame graph's frames, a tree; `value` is seconds in it and below. */
  readonly root: Frame
}

export interface Frame {
  readonly name: string
  readonly file: string | null
  readonly line: number | null
  readonly value: number
  readonly children: readonly Frame[]
}

export interface UndeclaredRow {
  readonly route: string | null
  readonly span: string
  readonly count: number
  /** Seconds after the response, all together and the longest. */
  readonly total: number
  readonly max: number
  readonly traceId: string
  /** What to write in its place. */
  readonly suggestion: string
}

export interface TelemetryHealth {
  readonly lost: readonly { readonly reason: string; readonly count: number }[]
  readonly capped: readonly { readonly reason: string; readonly count: number }[]
  readonly caught: readonly { readonly reason: string; readonly count: number }[]
  readonly sampled: readonly { readonly reason: string; readonly count: number }[]
  /** What the page itself keeps, bytes as far as they can be told. */
  readonly kept: { readonly spans: number; readonly traces: number; readonly bytes: number; readonly limit: number }
  readonly tracing: boolean
  readonly ledger: { readonly line: string; readonly balanced: boolean }
}
