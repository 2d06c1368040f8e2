/**
 * Writes the two references that are made from code: `telemetry.md` from the catalogue, `errors.md` from the table of errors.
 * `npm run docs`; a test fails when they are stale.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ERRORS } from '../src/model/errors.ts'
import { BYTES_BUCKETS, METRICS, type MetricEntry, SECONDS_BUCKETS } from '../src/telemetry/catalogue.ts'
import { REASONS } from '../src/telemetry/self-health.ts'

const code = (text: string) => `\`${text}\``

function metricRows(metrics: Readonly<Record<string, MetricEntry>>): string {
  const kinds = { counter: 'counter', histogram: 'histogram', updown: 'up-down counter', gauge: 'gauge' }
  const rows = Object.values(metrics).map(({ name, kind, unit, attributes, prometheus, description }) => {
    const labels = attributes.length === 0 ? '–' : attributes.map(code).join(', ')
    return `| ${code(name)} | ${kinds[kind]} ${code(unit)} | ${labels} | ${code(prometheus)} | ${description} |`
  })
  return rows.join('\n')
}

function telemetry(): string {
  return `# Telemetry reference

*Made by \`npm run docs\` from \`src/telemetry/catalogue.ts\`. Names in it are public: they change as the API does, by semantic versioning.*

## Spans

| relation | spans | default for |
| --- | --- | --- |
| \`child\` | \`task {name}\` (INTERNAL), one per attempt, under the request's SERVER span | tasks that start at their trigger |
| \`link\` | \`defer {name}\` in the request's trace, from \`defer()\` to the start; each attempt \`task {name}\` is the root of a trace of its own. Each is linked to the other | deferrals with a delay |
| \`none\` | \`task {name}\`, a trace of its own | nothing: ask for it |
| \`link\`, over an engine | \`send {queue}\` (PRODUCER) in the request's trace, until the engine has it; each attempt \`process {queue}\` (CONSUMER) in the process that runs it is the root of a trace of its own, linked to it. Each attempt leaves \`started {name}\` in the request's trace, linked to the attempt | tasks with an engine |
| \`link\`, in a batch | \`defer {name}\` in each request's trace; one \`task {name}\` for the run, linked to each of them and each to it | \`defineBatch\` |

- A later attempt is linked to the one before and never nested in it: with \`child\` a sibling, with \`link\` a root of its own.
- A \`defer\` span never stays open for more than 60 s. Where the start is later, and for later attempts of a linked task, a short \`started {name}\` span in the request's trace carries the link.
- A failed attempt has status ERROR, its exception as an event, and \`error.type\`, also if a later attempt succeeds. A cancelled one has no error.
- A task of an unsampled request is not sampled: a child by itself, a linked root with the sampler of \`afterspan/sdk\`, which \`register\` installs.
- Outside a request the parent is the span that is active at \`defer()\`, if any. In a running task it is that attempt's span.
- An attempt that holds the event loop for 50 ms or more in one stretch has an event \`event loop blocked\` with \`task.blocked\` (seconds) and, where the profiler runs, \`code.function.name\`, \`code.file.path\` and \`code.line.number\` of who did.
- A dropped deferral leaves an event \`task dropped\` on the span that was active.

| attribute | on | value |
| --- | --- | --- |
| \`task.name\`, \`task.id\`, \`task.priority\` | all | \`task.id\` is the same in all attempts, and the \`id\` of the handle |
| \`task.attempt\` | \`task\`, \`process\`, \`started\` | from 1; on an engine the how manieth start |
| \`task.wait\` | \`task\` | seconds that this attempt waited, intended delay and backoff not counted |
| \`task.result\` | \`task\` | \`ok\`, \`error\`, \`timeout\`, \`cancelled\` |
| \`task.batch.size\`, \`task.batch.failed\` | \`task\` of a batch | its items, and how many of them failed; \`task.id\` and \`task.attempt\` are on its links, \`task.id\` also on the event of a failed item |
| \`task.cpu\`, \`task.heap\` | \`task\` in a worker thread | CPU seconds (where Node has \`process.threadCpuUsage\`), and bytes by which the thread's heap grew, below 0 after a collection |
| \`task.profile\`, \`task.profile.file\` | \`task\` of a slow attempt | the id of its profile, and its file where there is a directory: [profiling.md](profiling.md) |
| \`task.delay\` | \`send\` | the intended delay in seconds, where there is one |
| \`task.redelivered\` | \`process\` | \`true\` where a process had taken it before and never said how it ended |
| \`task.lock_lost\` | \`process\` | \`true\` where the engine gave the task to another process while this attempt ran |
| \`task.clock_skew\` | \`process\` | by how many seconds, at least, the clock of the process that sent it is ahead; \`task.wait\` is 0 then |
| \`messaging.system\`, \`messaging.operation.name\`, \`messaging.operation.type\`, \`messaging.destination.name\`, \`messaging.message.id\` | \`send\`, \`process\` | OpenTelemetry's semantic conventions for messaging |
| \`bullmq.job.name\`, \`messaging.client.id\`, \`messaging.batch.message_count\` | \`send\`, \`process\` | of queues and workers that the app has made itself, where they are known |
| \`task.outcome\` | \`defer\`, \`send\` | only where the task never started; \`handed_off\` on \`send\` |
| \`error.type\` | \`task\` | class or name of what was thrown; only on \`error\` and \`timeout\` |
| \`afterspan.dashboard\` | SERVER | \`true\` on a request for the page of \`afterspan/dashboard\`, which is not among the traces that the page shows |
| \`http.route\`, \`http.request.method\` | all | of the request, where there is one |

## Metrics

| OpenTelemetry name | kind, unit | attributes | in Prometheus | what it says |
| --- | --- | --- | --- | --- |
${metricRows(METRICS)}

- Each task × outcome, result and state exists at 0 from \`define\` on, so that \`increase()\` sees the first failure. An \`error.type\` that was never seen before begins at its first count: alert on \`${METRICS.finished.prometheus}\`.
- Histogram buckets end at ${SECONDS_BUCKETS.join(', ')} seconds; those of \`${METRICS.heap.name}\` at ${BYTES_BUCKETS.map((bytes) => (bytes < 2 ** 20 ? `${bytes / 2 ** 10} KiB` : `${bytes / 2 ** 20} MiB`)).join(', ')}.
- Task names, routes and error types beyond \`limits\` are recorded as \`_other\` and counted in \`${METRICS.telemetryCapped.name}\`.
- Values of \`reason\`: \`${METRICS.telemetryLost.name}\` ${REASONS.lost.map(code).join(', ')}; \`${METRICS.telemetryCapped.name}\` ${REASONS.capped.map(code).join(', ')}; \`${METRICS.telemetryCaught.name}\` ${REASONS.caught.map(code).join(', ')}.
- The ledger balances in each collection: \`sum(${METRICS.deferred.prometheus}) = sum(${METRICS.finished.prometheus}) + sum(${METRICS.pending.prometheus})\`.
- Several \`createTasks\` in one process that report to one provider are added up.

With \`@opentelemetry/instrumentation-runtime-node\` installed, \`register\` adds the event loop's delay and use and the heap (\`nodejs.eventloop.*\`,
\`v8js.*\`), which the dashboard *Capacity* shows; \`process.memory.usage\`, the resident memory, it adds itself.

## In \`/metrics\`

\`metrics()\` answers with OpenMetrics 1.0 where \`Accept\` asks for it, as Prometheus does, and with the plain format 0.0.4 otherwise. Both have the names above, which
are those that Prometheus gives to the same metrics when they come by OTLP. OpenMetrics adds exemplars (\`trace_id\`, \`span_id\`) on the buckets of
\`${METRICS.wait.prometheus}\`, \`${METRICS.duration.prometheus}\` and \`${METRICS.effect.prometheus}\`; Prometheus keeps them with
\`--enable-feature=exemplar-storage\`. Metrics of other libraries are written by the same rules:

- Names and labels become what Prometheus' OTLP receiver makes of them. Labels that become one have their values joined with \`;\`; an attribute \`le\` of a histogram is written as \`exported_le\`.
- Two libraries with a metric of one name get the label \`otel_scope_name\`. A metric whose name another kind has taken is left out, with a warning in OpenTelemetry's diagnostics.
- What cannot be read back (a counter that is NaN or negative) is left out as well. A callback that throws or hangs loses its own metric alone.
- Where nothing reads metrics in the process, or the reader was shut down, the answer is 503 and says what to do.
`
}

function errors(): string {
  const rows = Object.entries(ERRORS).map(([name, help]) => `| \`${name}\` | ${help} |`)
  return `# Errors

*Made by \`npm run docs\` from \`src/model/errors.ts\`.*

Every error of Afterspan's own is an \`AfterspanError\` with a stable \`code\`. Wrong options throw at once, where they are given; what depends on load never throws:
\`defer\` then returns a handle whose outcome is \`dropped\`, whose \`accepted\` rejects and whose \`error\` says why.

| code | what to do |
| --- | --- |
${rows.join('\n')}

Two errors are for handlers to throw: \`RetryAfter(msOrDate)\` takes the place of the next backoff, and \`Abandon(message)\` fails the task at once.
`
}

/** The generated files by name. */
export const GENERATED: Readonly<Record<string, () => string>> = { 'telemetry.md': telemetry, 'errors.md': errors }

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, make] of Object.entries(GENERATED)) writeFileSync(new URL(name, import.meta.url), make())
}
