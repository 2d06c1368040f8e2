import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import type { DashboardName } from './dashboard.ts'
import { capacity } from './dashboards/capacity.ts'
import { overview } from './dashboards/overview.ts'
import { slo } from './dashboards/slo.ts'
import { task } from './dashboards/task.ts'
import { telemetryHealth } from './dashboards/telemetry-health.ts'
import type { Parameters } from './parameters.ts'

/** Each dashboard by the name of its file. */
export const MAKE: Readonly<Record<DashboardName, (parameters: Parameters) => Dashboard>> = {
  overview,
  task,
  capacity,
  slo,
  'telemetry-health': telemetryHealth,
}

/** Classic dashboard JSON, which file provisioning and the import page take. */
export function dashboardJson(dashboard: Dashboard): string {
  return `${JSON.stringify(dashboard, null, 2)}\n`
}
