import { stringify } from 'yaml'
import { DASHBOARDS } from './dashboard.ts'
import { dashboardJson, MAKE } from './json.ts'
import { checkParameters, DEFAULTS, type Parameters } from './parameters.ts'
import { alertRules } from './rules/alerts.ts'
import { recordingRules } from './rules/recording.ts'
import type { Group } from './rules/rule.ts'
import { stockExporterRules } from './rules/stock-exporter.ts'

/**
 * Every generated file, by its path below `grafana/`.
 *
 * @throws ParameterError for a parameter that cannot be used.
 */
export function generatedFiles(parameters: Parameters = DEFAULTS): Map<string, string> {
  checkParameters(parameters)
  const files = new Map<string, string>()
  for (const name of DASHBOARDS) files.set(`dashboards/${name}.json`, dashboardJson(MAKE[name](parameters)))
  files.set(
    'prometheus/rules/recording.yml',
    rulesFile(
      'What the SLO dashboard and the burn-rate alerts repeat, and the foreground tax of Overview.',
      recordingRules(parameters),
    ),
  )
  files.set(
    'prometheus/rules/alerts.yml',
    rulesFile(
      'The burn-rate alerts need recording.yml. What to do when one fires: runbooks.md.',
      alertRules(parameters),
    ),
  )
  files.set(
    'prometheus/rules-stock-exporter/stock-exporter.yml',
    rulesFile(
      "Only for apps on OpenTelemetry's stock PrometheusExporter, which leaves the unit out of the names. Not needed with\n# metrics() of afterspan/metrics, nor with OTLP.",
      stockExporterRules(parameters),
    ),
  )
  return files
}

function rulesFile(about: string, groups: readonly Group[]): string {
  return `# ${about}\n# Made by \`npm run grafana\`, or with other thresholds by \`npx afterspan grafana\`.\n${stringify({ groups }, { lineWidth: 0 })}`
}
