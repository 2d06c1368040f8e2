import {
  AnnotationQueryBuilder,
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  type RowPanel,
  VariableHide,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { BAD_COLOUR, NEUTRAL } from './palette.ts'
import { DATASOURCE, type Link } from './panels.ts'
import { named, type Parameters } from './parameters.ts'
import { Series } from './series.ts'

/** The dashboards' files, in the order of their links. */
export const DASHBOARDS = ['overview', 'task', 'capacity', 'slo', 'telemetry-health'] as const
export type DashboardName = (typeof DASHBOARDS)[number]

export interface Variables {
  /** `many`: all or some; `one`: exactly one; left out: none. */
  readonly task?: 'many' | 'one'
  readonly route?: boolean
}

/** A dashboard in the making: what its panels need, and the frame that all have in common. */
export class Page {
  readonly parameters: Parameters
  /** Series of the jobs and instances that are chosen. */
  readonly all: Series
  /** The same of the tasks that are chosen. */
  readonly ofTask: Series
  /** The same of the routes that are chosen as well, for `effect`. */
  readonly ofRoute: Series
  /** The same of all jobs and instances: a task that is sent here is run elsewhere. */
  readonly ofTaskAnywhere: Series
  /** Alerts, those that are of no job in particular included. */
  readonly alerts: Series
  /** What the recording rules made of tasks, which know no instance. */
  readonly recorded: Series
  /** And of whole services, which know no task either. */
  readonly recordedOfJobs: Series
  readonly #builder: DashboardBuilder
  /** Panels that stand above another in the same column, by that. */
  readonly #above = new Map<Panel, Panel>()

  constructor(parameters: Parameters, name: DashboardName, title: string, description: string, variables: Variables) {
    this.parameters = parameters
    const plain = new Series(parameters)
    this.all = plain.where('job=~"$job"', 'instance=~"$instance"')
    const ofTask = variables.task === undefined ? [] : ['task_name=~"$task"']
    this.ofTask = this.all.where(...ofTask)
    this.ofTaskAnywhere = plain.where(...ofTask)
    this.ofRoute = variables.route ? this.ofTask.where('http_route=~"$route"') : this.ofTask
    this.alerts = plain.where('job=~"$job|"', ...ofTask)
    this.recordedOfJobs = plain.where('job=~"$job"')
    this.recorded = this.recordedOfJobs.where(...ofTask)
    this.#builder = new DashboardBuilder(title)
      .uid(named(parameters, name))
      .description(description)
      .tags([TAG])
      .timezone('browser')
      .time({ from: 'now-1h', to: 'now' })
      .refresh('30s')
      .tooltip(DashboardCursorSync.Crosshair)
      .editable()
      .link(
        new DashboardLinkBuilder('Background work')
          .type(DashboardLinkType.Dashboards)
          .tags([TAG])
          .asDropdown(false)
          .includeVars(true)
          .keepTime(true),
      )
    this.#addVariables(variables)
    this.#addAnnotations()
  }

  #addVariables({ task, route }: Variables): void {
    const { datasource, jaeger } = this.parameters
    const plain = new Series(this.parameters)
    const source = new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus')
    if (datasource !== '') source.current({ text: datasource, value: datasource })
    this.#builder.withVariable(source)
    // "All" is the services that report, and not `.*`: else `up` would be that of every target in Prometheus.
    this.#builder.withVariable(
      choice('job', 'Service', `label_values(${plain.of('limit')}, job)`)
        .multi(true)
        .includeAll(true),
    )
    this.#builder.withVariable(
      choice('instance', 'Instance', `label_values(${plain.where('job=~"$job"').of('limit')}, instance)`)
        .multi(true)
        .includeAll(true)
        .allValue('.*'),
    )
    if (task !== undefined) {
      const tasks = choice('task', 'Task', `label_values(${this.all.of('deferred')}, task_name)`)
      this.#builder.withVariable(task === 'many' ? tasks.multi(true).includeAll(true).allValue('.*') : tasks)
    }
    if (route) {
      this.#builder.withVariable(
        choice('route', 'Route', `label_values(${this.ofTask.histogram('effect', 'count')}, http_route)`)
          .multi(true)
          .includeAll(true)
          .allValue('.*'),
      )
    }
    if (jaeger !== '') {
      // The job of a scrape is the service's name; by OTLP it is namespace/name, and Jaeger knows the name alone.
      this.#builder.withVariable(
        choice('service', 'Service in Jaeger', `label_values(${plain.where('job=~"$job"').of('limit')}, job)`)
          .regex('/([^/]+)$/')
          .hide(VariableHide.HideVariable),
      )
    }
  }

  #addAnnotations(): void {
    const annotation = (name: string, expr: string, colour: string, title: string, text: string) =>
      new AnnotationQueryBuilder()
        .name(name)
        .datasource(DATASOURCE)
        .enable(true)
        .iconColor(colour)
        .expr(expr)
        .step('60s')
        .titleFormat(title)
        .textFormat(text)
    this.#builder.annotation(
      annotation('Starts', `${this.all.of('uptime')} < 60`, NEUTRAL, 'Process started', '{{job}} {{instance}}'),
    )
    this.#builder.annotation(
      annotation(
        'Alerts',
        new Series(this.parameters).foreign('ALERTS', 'alertname=~"Afterspan.*"', 'alertstate="firing"'),
        BAD_COLOUR,
        '{{alertname}}',
        '{{job}} {{task_name}}',
      ).enable(false),
    )
  }

  row(title: string): this {
    this.#builder.withRow(new RowBuilder(title).collapsed(false))
    return this
  }

  panels(...panels: { build(): Panel }[]): this {
    for (const panel of panels) this.#builder.withPanel(panel)
    return this
  }

  /** Two panels of one width, one above the other, in a row of panels that are as high as both. */
  stack(upper: { build(): Panel }, lower: { build(): Panel }): this {
    const above = upper.build()
    const below = lower.build()
    const { h } = above.gridPos!
    below.gridPos!.h += h
    this.#builder.withPanel({ build: () => below })
    above.gridPos = { ...below.gridPos!, h }
    below.gridPos = { ...below.gridPos!, y: below.gridPos!.y + h, h: below.gridPos!.h - h }
    this.#above.set(below, above)
    return this
  }

  /** A link to another of these dashboards, with the variables that are chosen here. */
  urlOf(name: DashboardName, more = ''): string {
    const kept = ['datasource', 'job', 'instance'].map((variable) => `\${${variable}:queryparam}`).join('&')
    return `/d/${named(this.parameters, name)}?${kept}&\${__url_time_range}${more}`
  }

  /** On a line that is of one task: the page of that task. */
  taskOfLine(): Link {
    return { title: 'Open this task', url: this.urlOf('task', '&var-task=${__field.labels.task_name}') }
  }

  /**
   * Jaeger's search for attempts of one task that ended in an error, in the time range of the panel. Jaeger finds them by
   * our own attribute: its search for `error=true` finds nothing in the storages that keep no such index.
   */
  failuresInJaeger(task: string): { title: string; url: string; newTab: true }[] {
    const { jaeger } = this.parameters
    if (jaeger === '') return []
    const tags = encodeURIComponent('{"task.result":"error"}')
    const time = 'start=${__from}000&end=${__to}000&lookback=custom&limit=20'
    const url = `${jaeger.replace(/\/$/, '')}/search?service=\${service}&operation=task%20${task}&tags=${tags}&${time}`
    return [{ title: 'Failed attempts in Jaeger', url, newTab: true }]
  }

  build(): Dashboard {
    const dashboard = this.#builder.build()
    dashboard.panels = (dashboard.panels ?? []).flatMap((panel) => {
      const above = this.#above.get(panel as Panel)
      return above === undefined ? [panel] : [above, panel]
    })
    return finished(dashboard)
  }
}

const TAG = 'afterspan'

function choice(name: string, label: string, query: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(DATASOURCE)
    .query({ query, refId: name })
    .definition(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
}

/** What the builder leaves open: an id for each panel, by which links and Grafana itself know it, and refIds A, B, C. */
function finished(dashboard: Dashboard): Dashboard {
  let id = 0
  for (const panel of (dashboard.panels ?? []) as (Panel | RowPanel)[]) {
    id += 1
    panel.id = id
    if (!('targets' in panel)) continue
    panel.targets?.forEach((target, index) => {
      const query = target as { refId?: string }
      query.refId ||= String.fromCharCode(65 + index)
    })
  }
  return dashboard
}
