/**
 * Every metric that Afterspan emits, once. Instruments, the `/metrics` text, the reference in `docs/telemetry.md` and the
 * dashboards are made from this table; nothing else spells a metric's name.
 */

export type MetricKind = 'counter' | 'histogram' | 'updown' | 'gauge'

export interface MetricEntry {
  /** The OpenTelemetry name. */
  readonly name: string
  readonly kind: MetricKind
  /** UCUM unit; `''` for a pure number. */
  readonly unit: string
  readonly description: string
  readonly attributes: readonly string[]
  /** The name of the series in Prometheus; a histogram's has `_bucket`, `_sum` and `_count` after it. */
  readonly prometheus: string
}

export const SCOPE = 'afterspan'

export const METRICS = {
  deferred: {
    name: 'afterspan.task.deferred',
    kind: 'counter',
    unit: '{task}',
    description: 'Deferrals, whatever became of them.',
    attributes: ['task.name'],
    prometheus: 'afterspan_task_deferred_total',
  },
  finished: {
    name: 'afterspan.task.finished',
    kind: 'counter',
    unit: '{task}',
    description: 'Deferrals that have reached their outcome; each reaches exactly one.',
    attributes: ['task.name', 'task.outcome'],
    prometheus: 'afterspan_task_finished_total',
  },
  taken: {
    name: 'afterspan.task.taken',
    kind: 'counter',
    unit: '{task}',
    description: 'Tasks that this process has taken from an engine.',
    attributes: ['task.name'],
    prometheus: 'afterspan_task_taken_total',
  },
  returned: {
    name: 'afterspan.task.returned',
    kind: 'counter',
    unit: '{task}',
    description: 'Tasks taken from an engine that it has back: for another attempt, or because this process ends.',
    attributes: ['task.name'],
    prometheus: 'afterspan_task_returned_total',
  },
  redelivered: {
    name: 'afterspan.task.redelivered',
    kind: 'counter',
    unit: '{task}',
    description: 'Tasks taken from an engine that another process had taken before and never said how they ended.',
    attributes: ['task.name'],
    prometheus: 'afterspan_task_redelivered_total',
  },
  lost: {
    name: 'afterspan.task.lost',
    kind: 'counter',
    unit: '{attempt}',
    description:
      'Attempts that lost their lock in the engine: the task is another process’s, and is or was done twice.',
    attributes: ['task.name'],
    prometheus: 'afterspan_task_lost_total',
  },
  attempts: {
    name: 'afterspan.task.attempts',
    kind: 'counter',
    unit: '{attempt}',
    description: 'Runs of a handler that have ended; error.type is set where the result is error or timeout.',
    attributes: ['task.name', 'task.result', 'error.type'],
    prometheus: 'afterspan_task_attempts_total',
  },
  wait: {
    name: 'afterspan.task.wait',
    kind: 'histogram',
    unit: 's',
    description: 'From the moment an attempt might start to its start; intended delay and backoff are not counted.',
    attributes: ['task.name', 'task.priority'],
    prometheus: 'afterspan_task_wait_seconds',
  },
  duration: {
    name: 'afterspan.task.duration',
    kind: 'histogram',
    unit: 's',
    description: 'How long one attempt ran.',
    attributes: ['task.name', 'task.result'],
    prometheus: 'afterspan_task_duration_seconds',
  },
  effect: {
    name: 'afterspan.task.effect',
    kind: 'histogram',
    unit: 's',
    description: 'From the end of the response (outside a request: from the deferral) to the outcome.',
    attributes: ['task.name', 'task.outcome', 'http.route'],
    prometheus: 'afterspan_task_effect_seconds',
  },
  pending: {
    name: 'afterspan.task.pending',
    kind: 'updown',
    unit: '{task}',
    description: 'Deferrals without an outcome, by state.',
    attributes: ['task.name', 'task.state'],
    prometheus: 'afterspan_task_pending',
  },
  oldest: {
    name: 'afterspan.task.oldest',
    kind: 'gauge',
    unit: 's',
    description: 'Age of the task that has been ready for the longest; 0 when none is ready.',
    attributes: ['task.name'],
    prometheus: 'afterspan_task_oldest_seconds',
  },
  zombies: {
    name: 'afterspan.task.zombies',
    kind: 'updown',
    unit: '{attempt}',
    description: 'Attempts that timed out or were cancelled and whose handler runs on, each still in a slot.',
    attributes: ['task.name'],
    prometheus: 'afterspan_task_zombies',
  },
  deduplicated: {
    name: 'afterspan.task.deduplicated',
    kind: 'counter',
    unit: '{task}',
    description: 'Deferrals that found an unfinished one with the same key and got its handle.',
    attributes: ['task.name'],
    prometheus: 'afterspan_task_deduplicated_total',
  },
  retriesRefused: {
    name: 'afterspan.task.retries.refused',
    kind: 'counter',
    unit: '{attempt}',
    description: 'Retries that were allowed by attempts and retryIf but refused because the retry budget was used up.',
    attributes: ['task.name'],
    prometheus: 'afterspan_task_retries_refused_total',
  },
  cpu: {
    name: 'afterspan.task.cpu',
    kind: 'counter',
    unit: 's',
    description:
      'CPU time of attempts, garbage collection included: exact in worker threads, elsewhere by samples where the profiler runs.',
    attributes: ['task.name'],
    prometheus: 'afterspan_task_cpu_seconds_total',
  },
  heap: {
    name: 'afterspan.task.heap',
    kind: 'histogram',
    unit: 'By',
    description:
      'By how much the heap has grown in an attempt; 0 where it has shrunk. Exact in worker threads; elsewhere an estimate, of some attempts during which nothing else that is known of ran.',
    attributes: ['task.name', 'task.heap.estimated'],
    prometheus: 'afterspan_task_heap_bytes',
  },
  blocked: {
    name: 'afterspan.task.blocked',
    kind: 'histogram',
    unit: 's',
    description:
      'How long a task held the event loop in one synchronous stretch, from 20 ms on: up to its first await, and after it where the profiler runs.',
    attributes: ['task.name'],
    prometheus: 'afterspan_task_blocked_seconds',
  },
  engineJobs: {
    name: 'afterspan.engine.jobs',
    kind: 'gauge',
    unit: '{task}',
    description: 'What the engine holds, by state; every process that defines the task tells the same number.',
    attributes: ['task.name', 'engine.state'],
    prometheus: 'afterspan_engine_jobs',
  },
  engineOldest: {
    name: 'afterspan.engine.oldest',
    kind: 'gauge',
    unit: 's',
    description: 'Age of the task that has been waiting in the engine for the longest; 0 when none is.',
    attributes: ['task.name'],
    prometheus: 'afterspan_engine_oldest_seconds',
  },
  engineUp: {
    name: 'afterspan.engine.up',
    kind: 'gauge',
    unit: '',
    description:
      'Whether the engine has said in the last 35 s what it holds (1); if not (0), numbers are those of before, or missing.',
    attributes: ['task.name'],
    prometheus: 'afterspan_engine_up',
  },
  engineConcurrency: {
    name: 'afterspan.engine.concurrency',
    kind: 'gauge',
    unit: '{attempt}',
    description: 'How many attempts of an engine task this process may run at once; 0 when it does not consume.',
    attributes: ['task.name'],
    prometheus: 'afterspan_engine_concurrency',
  },
  undeclared: {
    name: 'afterspan.undeclared.duration',
    kind: 'histogram',
    unit: 's',
    description: 'How long work that is no task went on after the response of its request, by the name of its span.',
    attributes: ['http.route', 'span.name'],
    prometheus: 'afterspan_undeclared_duration_seconds',
  },
  loopDelay: {
    name: 'afterspan.loop.delay',
    kind: 'histogram',
    unit: 's',
    description:
      'By how much a timer of the event loop came late, asked 50 times a second, while tasks ran and while none did.',
    attributes: ['background.running'],
    prometheus: 'afterspan_loop_delay_seconds',
  },
  request: {
    name: 'afterspan.request.duration',
    kind: 'histogram',
    unit: 's',
    description:
      'How long requests took that were answered, without an error, by whether a task ran at some moment in between.',
    attributes: ['background.running'],
    prometheus: 'afterspan_request_duration_seconds',
  },
  governorDelay: {
    name: 'afterspan.governor.delay',
    kind: 'gauge',
    unit: 's',
    description: 'The delay of the event loop by which the governor steers; only where it is on.',
    attributes: [],
    prometheus: 'afterspan_governor_delay_seconds',
  },
  governorLimit: {
    name: 'afterspan.governor.limit',
    kind: 'gauge',
    unit: '{attempt}',
    description:
      'How many attempts of this priority the governor lets run at once; below 1, one at a time with pauses. Only where it is on.',
    attributes: ['task.priority'],
    prometheus: 'afterspan_governor_limit',
  },
  heapGuarded: {
    name: 'afterspan.heap.guarded',
    kind: 'gauge',
    unit: '',
    description: 'Whether tasks of low priority are not started (1) because the heap is nearly full.',
    attributes: [],
    prometheus: 'afterspan_heap_guarded',
  },
  limit: {
    name: 'afterspan.concurrency.limit',
    kind: 'gauge',
    unit: '{attempt}',
    description: 'How many attempts may run at once.',
    attributes: [],
    prometheus: 'afterspan_concurrency_limit',
  },
  used: {
    name: 'afterspan.concurrency.used',
    kind: 'gauge',
    unit: '{attempt}',
    description: 'How many slots are taken, zombies included.',
    attributes: [],
    prometheus: 'afterspan_concurrency_used',
  },
  uptime: {
    name: 'afterspan.uptime',
    kind: 'gauge',
    unit: 's',
    description: 'Age of the process; it falls when the process was started anew, so resets() counts restarts.',
    attributes: [],
    prometheus: 'afterspan_uptime_seconds',
  },
  telemetryLost: {
    name: 'afterspan.telemetry.lost',
    kind: 'counter',
    unit: '{span}',
    description: 'Spans that did not reach the exporter, by reason.',
    attributes: ['reason'],
    prometheus: 'afterspan_telemetry_lost_total',
  },
  telemetryCapped: {
    name: 'afterspan.telemetry.capped',
    kind: 'counter',
    unit: '{name}',
    description: 'Uses of a name beyond its limit, recorded under _other, by the kind of name.',
    attributes: ['reason'],
    prometheus: 'afterspan_telemetry_capped_total',
  },
  telemetrySampled: {
    name: 'afterspan.telemetry.sampled',
    kind: 'counter',
    unit: '{trace}',
    description:
      'Traces that were decided on as a whole, where TailSamplingProcessor is used, by why they were kept or let go.',
    attributes: ['reason'],
    prometheus: 'afterspan_telemetry_sampled_total',
  },
  telemetryCaught: {
    name: 'afterspan.telemetry.caught',
    kind: 'counter',
    unit: '{error}',
    description:
      "Errors thrown by hooks, listeners, loggers or the telemetry pipeline that Afterspan kept from the app's work.",
    attributes: ['reason'],
    prometheus: 'afterspan_telemetry_caught_total',
  },
} as const satisfies Record<string, MetricEntry>

export type MetricKey = keyof typeof METRICS

/**
 * Upper bounds of the histogram buckets, in seconds. The lower part is that of the HTTP semantic conventions
 * (`http.server.request.duration`), with 1 and 2.5 ms below for tasks that start at once and 30 s to 15 min above for
 * tasks that take, or wait, longer than any request would.
 */
export const SECONDS_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900,
]

/** The same for bytes: powers of four from 16 KiB to 1 GiB. */
export const BYTES_BUCKETS: readonly number[] = Array.from({ length: 9 }, (_, index) => 16_384 * 4 ** index)
