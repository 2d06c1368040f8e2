import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { Page } from '../dashboard.ts'
import { imbalance, RANGE, STEP } from '../expressions.ts'
import { BAD_COLOUR, GOOD, LINES, NEUTRAL, WARNING } from '../palette.ts'
import { figure, lines, note, PER_SECOND } from '../panels.ts'
import type { Parameters } from '../parameters.ts'

const NOT_SCRAPED = 'Not scraped: these metrics arrive by OTLP'

/** Can the other dashboards be trusted? */
export function telemetryHealth(parameters: Parameters): Dashboard {
  const page = new Page(
    parameters,
    'telemetry-health',
    'Afterspan / Telemetry health',
    'Can the other four dashboards be trusted? Whether metrics and spans arrive, what was lost or capped, and whether the counts balance.',
    {},
  )
  const { all, recorded } = page
  const none = [
    [null, GOOD],
    [1, BAD_COLOUR],
  ] as const
  const caution = [
    [null, GOOD],
    [1, WARNING],
  ] as const

  return page
    .panels(
      figure({
        title: 'Instances',
        description:
          'Processes whose metrics have arrived within the last five minutes. Fewer than run: see whether each is scraped, below.',
        unit: 'short',
        span: 4,
        height: 4,
        steps: [
          [null, BAD_COLOUR],
          [1, GOOD],
        ],
        empty: '0',
        queries: [{ name: 'instances', expr: `count (${all.of('limit')})` }],
      }),
      figure({
        title: 'Scrapes that fail',
        description:
          'Targets of these services that Prometheus cannot read now. Look at its page Targets for the reason.',
        unit: 'short',
        span: 4,
        height: 4,
        steps: none,
        empty: NOT_SCRAPED,
        queries: [{ name: 'down', expr: `count (${all.foreign('up')}) - sum (${all.foreign('up')})` }],
      }),
      figure({
        title: 'Spans lost',
        description:
          'Spans that did not reach the exporter in this time range. Traces have holes then; metrics do not.',
        unit: 'short',
        span: 4,
        height: 4,
        decimals: 0,
        steps: none,
        queries: [{ name: 'lost', expr: `sum (increase(${all.of('telemetryLost')}[${RANGE}]))` }],
      }),
      figure({
        title: 'Names capped',
        description: 'Uses of task names, routes or error types beyond their limit: they are counted under _other.',
        unit: 'short',
        span: 4,
        height: 4,
        decimals: 0,
        steps: caution,
        queries: [{ name: 'capped', expr: `sum (increase(${all.of('telemetryCapped')}[${RANGE}]))` }],
      }),
      figure({
        title: 'Ledger off by',
        description:
          'Tasks that were deferred here or taken from engines, less those that ended, were returned or are unfinished, in the instance that is furthest off. Always 0; anything else is a fault of Afterspan, and counts are not to be trusted.',
        unit: 'short',
        span: 4,
        height: 4,
        steps: none,
        queries: [{ name: 'off by', expr: `max (abs(${imbalance(all, 'by (job, instance)')}))` }],
      }),
      figure({
        title: 'Recording rules',
        description:
          'Tasks for which the recording rules have made figures. Without the rules the SLO dashboard is empty: load grafana/prometheus/rules/recording.yml into Prometheus.',
        unit: 'short',
        span: 4,
        height: 4,
        steps: [[null, NEUTRAL]],
        empty: 'Not loaded',
        queries: [{ name: 'tasks', expr: `count (${recorded.recorded('ends', '5m')})` }],
      }),
    )
    .row('Do metrics arrive?')
    .panels(
      lines({
        title: 'Is each instance scraped?',
        description:
          '1: the last scrape succeeded. 0: it failed. A line that ends: the target is gone. Empty where metrics come by OTLP.',
        unit: 'short',
        span: 8,
        height: 8,
        max: 1,
        empty: NOT_SCRAPED,
        queries: [{ name: '{{instance}}', expr: `max by (instance) (${all.foreign('up')})` }],
      }),
      lines({
        title: 'How long do scrapes take?',
        description:
          'A scrape that takes long holds the event loop of the app: lower the number of series with limits, or scrape less often.',
        unit: 's',
        span: 8,
        height: 8,
        empty: NOT_SCRAPED,
        queries: [{ name: '{{instance}}', expr: `max by (instance) (${all.foreign('scrape_duration_seconds')})` }],
      }),
      lines({
        title: 'How many series does an instance have?',
        description: 'Samples in a scrape. Routes and error types make most of them; limits bound them.',
        unit: 'short',
        span: 8,
        height: 8,
        empty: NOT_SCRAPED,
        queries: [{ name: '{{instance}}', expr: `max by (instance) (${all.foreign('scrape_samples_scraped')})` }],
      }),
    )
    .row('What was lost?')
    .panels(
      lines({
        title: 'Why are spans lost?',
        description:
          'queue_full: more spans at once than are kept, so the collector is too slow. export_failed: the collector does not take them. shutdown: the process ended before they were sent.',
        unit: PER_SECOND,
        span: 8,
        height: 8,
        colours: { queue_full: LINES[1], export_failed: LINES[6], shutdown: LINES[0] },
        queries: [{ name: '{{reason}}', expr: `sum by (reason) (rate(${all.of('telemetryLost')}[${STEP}]))` }],
      }),
      lines({
        title: 'Which names are capped?',
        description:
          'Uses per second of names beyond limits. Routes: most often paths that are not routes, such as 404s of scanners.',
        unit: PER_SECOND,
        span: 8,
        height: 8,
        queries: [{ name: '{{reason}}', expr: `sum by (reason) (rate(${all.of('telemetryCapped')}[${STEP}]))` }],
      }),
      lines({
        title: 'Which errors were kept from the app?',
        description:
          'Errors per second that hooks, listeners, loggers or the telemetry itself threw. The work went on; the log has one line of each kind.',
        unit: PER_SECOND,
        span: 8,
        height: 8,
        queries: [{ name: '{{reason}}', expr: `sum by (reason) (rate(${all.of('telemetryCaught')}[${STEP}]))` }],
      }),
      lines({
        title: 'By how much is the ledger off?',
        description:
          'By instance: deferred and taken, less returned, ended and unfinished. A flat 0 is right, whether it sends tasks to engines, runs them, or neither.',
        unit: 'short',
        span: 12,
        height: 7,
        min: -1,
        queries: [{ name: '{{instance}}', expr: imbalance(all, 'by (instance)') }],
      }),
      note({
        title: 'When something is wrong here',
        description: 'What to do first.',
        span: 12,
        height: 7,
        markdown: `- **Nothing reports**: is \`/metrics\` mounted, and does Prometheus scrape it? The stock exporter leaves unit suffixes out: load \`rules/stock-exporter.yml\`.
- **Spans lost, export_failed**: is the collector up, and is \`OTEL_EXPORTER_OTLP_ENDPOINT\` right?
- **Spans lost, queue_full**: the collector is slower than the app; give it more CPU, or sample.
- **No exemplars**: Prometheus needs \`--enable-feature=exemplar-storage\`, and its data source in Grafana a link to Jaeger.
- **Ledger off**: report it with the line that \`close()\` logs.`,
      }),
    )
    .build()
}
