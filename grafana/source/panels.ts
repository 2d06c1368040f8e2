import {
  AxisPlacement,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueTextMode,
  GraphDrawStyle,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TableCellHeight,
  type TableCellOptions,
  TableSortByFieldStateBuilder,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizOrientation,
  VizTextDisplayOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common'
import {
  DashboardLinkBuilder,
  type DataTransformerConfig,
  type DynamicConfigValue,
  FieldColorBuilder,
  FieldColorModeId,
  MappingType,
  type Threshold,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard'
import * as heatmaps from '@grafana/grafana-foundation-sdk/heatmap'
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus'
import * as stats from '@grafana/grafana-foundation-sdk/stat'
import * as tables from '@grafana/grafana-foundation-sdk/table'
import * as texts from '@grafana/grafana-foundation-sdk/text'
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries'
import { CELL_COLOURS, FAINT, LINES } from './palette.ts'

/** What every panel says of itself. */
export interface About {
  /** A question or a plain noun. */
  readonly title: string
  /** What it shows, and what to do. */
  readonly description: string
  /** Grafana's unit. */
  readonly unit: string
  /** Of 24 columns. */
  readonly span: number
  /** Rows of 30 px and a gap. */
  readonly height: number
  /** What stands in an empty panel. */
  readonly empty?: string
  readonly steps?: readonly Step[]
  readonly links?: readonly Link[]
}

/** From this value on, this colour; the first has no value. */
export type Step = readonly [from: number | null, colour: string]

export interface Link {
  readonly title: string
  readonly url: string
  readonly newTab?: boolean
}

export interface Query {
  readonly expr: string
  /** The series' name, with `{{label}}`; for a table the column's title. */
  readonly name: string
  /** Show exemplars, which open the trace. */
  readonly exemplars?: boolean
}

export const PER_SECOND = 'suffix:/s'
export const PER_MINUTE = 'suffix:/min'
export const TIMES = 'suffix:×'

/** The data source variable, as a panel, query or variable refers to it. */
export const DATASOURCE = { type: 'prometheus', uid: '${datasource}' }

interface Settings {
  title(title: string): this
  description(description: string): this
  unit(unit: string): this
  span(span: number): this
  height(height: number): this
  noValue(text: string): this
  datasource(reference: typeof DATASOURCE): this
  thresholds(thresholds: ThresholdsConfigBuilder): this
  dataLinks(links: DashboardLinkBuilder[]): this
}

function common<P extends Settings>(panel: P, about: About): P {
  panel.title(about.title).description(about.description).unit(about.unit).span(about.span).height(about.height)
  panel.datasource(DATASOURCE)
  panel.noValue(about.empty ?? 'Nothing in this time range')
  panel.thresholds(thresholds(about.steps ?? [[null, LINES[0]]]))
  if (about.links !== undefined) panel.dataLinks(about.links.map(link))
  return panel
}

function link({ title, url, newTab = false }: Link): DashboardLinkBuilder {
  return new DashboardLinkBuilder(title).url(url).targetBlank(newTab)
}

function thresholds(steps: readonly Step[]): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps(steps.map(([value, color]): Threshold => ({ value, color })))
}

function range(query: Query): DataqueryBuilder {
  const built = new DataqueryBuilder().expr(query.expr).legendFormat(query.name).range().datasource(DATASOURCE)
  return query.exemplars ? built.exemplar(true) : built
}

function instant(query: Query): DataqueryBuilder {
  return new DataqueryBuilder().expr(query.expr).legendFormat(query.name).instant().datasource(DATASOURCE)
}

const fixed = (colour: string): DynamicConfigValue => ({ id: 'color', value: { mode: 'fixed', fixedColor: colour } })

export interface LinesAbout extends About {
  readonly queries: readonly Query[]
  /** By the name of the series. */
  readonly colours?: Readonly<Record<string, string>>
  readonly look?: 'lines' | 'areas' | 'bars' | 'share'
  /** Shades of this colour for series whose names are not known beforehand. Default: Grafana's palette. */
  readonly shadesOf?: string
  readonly min?: number
  readonly max?: number
  /** Draw the thresholds as dashed lines. */
  readonly showSteps?: boolean
  /** The columns of the legend. Default `lastNotNull` and `max`. */
  readonly legend?: readonly string[]
}

/** Where the axis ends at least, so that a line of zeros does not get one to 100. */
const SMALL: Readonly<Record<string, number>> = {
  [PER_SECOND]: 1,
  [PER_MINUTE]: 1,
  [TIMES]: 2,
  short: 1,
  percentunit: 0.02,
}

export function lines(about: LinesAbout): timeseries.PanelBuilder {
  const { look = 'lines', queries, colours = {} } = about
  const stacked = look !== 'lines'
  const panel = common(new timeseries.PanelBuilder(), about)
    .min(about.min ?? 0)
    .colorScheme(
      about.shadesOf === undefined
        ? new FieldColorBuilder().mode(FieldColorModeId.PaletteClassic)
        : new FieldColorBuilder().mode(FieldColorModeId.Shades).fixedColor(about.shadesOf),
    )
    .drawStyle(look === 'bars' ? GraphDrawStyle.Bars : GraphDrawStyle.Line)
    .lineWidth(stacked ? 0 : 2)
    .fillOpacity({ lines: 0, areas: 70, bars: 90, share: 70 }[look])
    .showPoints(stacked ? VisibilityMode.Never : VisibilityMode.Auto)
    .pointSize(4)
    .spanNulls(false)
    .axisPlacement(AxisPlacement.Auto)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true)
        .calcs([...(about.legend ?? ['lastNotNull'])]),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
    .stacking(
      new StackingConfigBuilder().group('A').mode(
        {
          lines: StackingMode.None,
          areas: StackingMode.Normal,
          bars: StackingMode.Normal,
          share: StackingMode.Percent,
        }[look],
      ),
    )
  if (about.max !== undefined) panel.max(about.max)
  else if (SMALL[about.unit] !== undefined) panel.axisSoftMax(SMALL[about.unit]!)
  if (about.showSteps) {
    panel.thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed))
  }
  for (const query of queries) panel.withTarget(range(query))
  for (const [name, colour] of Object.entries(colours)) panel.overrideByName(name, [fixed(colour)])
  if (queries.some(({ name }) => name.includes(LAST_WEEK))) {
    panel.overrideByRegexp(`/${LAST_WEEK}$/`, [
      fixed(FAINT),
      { id: 'custom.drawStyle', value: 'line' },
      { id: 'custom.lineWidth', value: 1 },
      { id: 'custom.lineStyle', value: { fill: 'dash', dash: [6, 6] } },
      { id: 'custom.fillOpacity', value: 0 },
      { id: 'custom.stacking', value: { mode: 'none', group: 'B' } },
    ])
  }
  return panel
}

export const LAST_WEEK = 'last week'

/** A query, and the same for a week ago as a faint line; `expr` puts the offset behind each selector. */
export function withLastWeek(name: string, expr: (offset: '' | ' offset 1w') => string): Query[] {
  return [
    { expr: expr(''), name },
    { expr: expr(' offset 1w'), name: `${name}, ${LAST_WEEK}` },
  ]
}

export interface FigureAbout extends About {
  readonly queries: readonly Query[]
  readonly max?: number
  readonly decimals?: number
  /** Text instead of a value. */
  readonly mappings?: Readonly<Record<string, string>>
  /** Draw the history behind the value; the queries are then ranges. */
  readonly history?: boolean
}

export function figure(about: FigureAbout): stats.PanelBuilder {
  const panel = common(new stats.PanelBuilder(), about)
    .colorMode(BigValueColorMode.Value)
    .graphMode(about.history ? BigValueGraphMode.Area : BigValueGraphMode.None)
    .textMode(about.queries.length > 1 ? BigValueTextMode.ValueAndName : BigValueTextMode.Value)
    .orientation(VizOrientation.Auto)
    .text(new VizTextDisplayOptionsBuilder().titleSize(14).valueSize(about.queries.length > 1 ? 22 : 28))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false))
  if (about.decimals !== undefined) panel.decimals(about.decimals)
  if (about.max !== undefined) panel.max(about.max)
  if (about.mappings !== undefined) {
    const options = Object.fromEntries(
      Object.entries(about.mappings).map(([value, text], index) => [value, { text, index }]),
    )
    panel.mappings([{ type: MappingType.ValueToText, options }])
  }
  for (const query of about.queries) panel.withTarget(about.history ? range(query) : instant(query))
  return panel
}

export interface HeatmapAbout extends About {
  readonly query: Query
}

/** Over `_bucket` series: the buckets are the cells, so nothing is calculated. */
export function heatmap(about: HeatmapAbout): heatmaps.PanelBuilder {
  return common(new heatmaps.PanelBuilder(), about)
    .calculate(false)
    .color(
      new heatmaps.HeatmapColorOptionsBuilder()
        .mode(heatmaps.HeatmapColorMode.Scheme)
        .scheme('Viridis')
        .fill(LINES[0])
        .exponent(0.5)
        .steps(64)
        .reverse(false),
    )
    .yAxis(new heatmaps.YAxisConfigBuilder().unit(about.unit).axisPlacement(AxisPlacement.Left))
    .cellValues(new heatmaps.CellValuesBuilder().unit('short').decimals(0))
    .cellGap(1)
    .exemplarsColor(LINES[2])
    .tooltip(new heatmaps.HeatmapTooltipBuilder().mode(TooltipDisplayMode.Single).yHistogram(true))
    .showLegend()
    .withTarget(range(about.query).format(PromQueryFormat.Heatmap))
}

export interface Column extends Query {
  readonly unit: string
  readonly width?: number
  readonly decimals?: number
  readonly steps?: readonly Step[]
  /** A sparkline of the range instead of a value of the moment. */
  readonly trend?: boolean
  /** Colour the cell, or draw a bar in it. */
  readonly cell?: 'background' | 'bar'
  readonly max?: number
}

export interface TableAbout extends Omit<About, 'unit'> {
  /** The labels that make a row; the first is what the columns are joined by. */
  readonly rows: readonly {
    readonly label: string
    readonly title: string
    readonly width?: number
    readonly links?: readonly Link[]
    /** Show what the group of this pattern matches instead of the whole. */
    readonly shorten?: string
  }[]
  readonly columns: readonly Column[]
  /** The column's title by which the rows are sorted, the greatest first. */
  readonly sortBy: string
}

const letter = (index: number) => String.fromCharCode(65 + index)

/** One row per label value, one column per query. The queries are of the moment, over the dashboard's range. */
export function table(about: TableAbout): tables.PanelBuilder {
  const key = about.rows[0]!.label
  const panel = common(new tables.PanelBuilder(), { ...about, unit: 'short' })
    .cellHeight(TableCellHeight.Sm)
    .showHeader(true)
    .filterable(false)
    .sortBy([new TableSortByFieldStateBuilder().displayName(about.sortBy).desc(true)])
  const names: Record<string, string> = Object.fromEntries(about.rows.map(({ label, title }) => [label, title]))
  const order: Record<string, number> = Object.fromEntries(about.rows.map(({ label }, index) => [label, index]))
  const transformations: DataTransformerConfig[] = []
  about.columns.forEach((column, index) => {
    const refId = letter(index)
    const query = column.trend ? range(column) : instant(column).format(PromQueryFormat.Table)
    panel.withTarget(query.refId(refId))
    const field = column.trend ? `Trend #${refId}` : `Value #${refId}`
    if (column.trend) {
      transformations.push({
        id: 'timeSeriesTable',
        filter: { id: 'byRefId', options: refId },
        options: { [refId]: { timeField: 'Time' } },
      })
    }
    names[field] = column.name
    order[field] = about.rows.length + index
    const properties: DynamicConfigValue[] = [
      { id: 'unit', value: column.unit },
      { id: 'custom.cellOptions', value: cellOf(column) },
    ]
    // A row without a value here; that the table has no row is for the panel to say.
    if (!column.trend) properties.push({ id: 'noValue', value: '–' })
    // A sparkline has no value by which a threshold could colour it.
    if (column.trend) properties.push(fixed(LINES[0]))
    if (column.width !== undefined) properties.push({ id: 'custom.width', value: column.width })
    if (column.decimals !== undefined) properties.push({ id: 'decimals', value: column.decimals })
    if (column.max !== undefined) properties.push({ id: 'min', value: 0 }, { id: 'max', value: column.max })
    if (column.steps !== undefined) {
      // A cell is coloured only where something is wrong; a bar always.
      const quiet = column.cell === 'background'
      const steps = column.steps.map(([value, color]) => ({
        value,
        color: quiet ? (value === null ? 'transparent' : (CELL_COLOURS[color] ?? color)) : color,
      }))
      properties.push(
        { id: 'thresholds', value: { mode: 'absolute', steps } },
        { id: 'color', value: { mode: 'thresholds' } },
      )
    }
    panel.overrideByName(column.name, properties)
  })
  // With one query there is nothing to join, and Grafana then calls the value's field "Value".
  if (about.columns.length === 1) {
    names.Value = about.columns[0]!.name
  } else if (about.rows.length === 1) {
    transformations.push({ id: 'joinByField', options: { byField: key, mode: 'outer' } })
  } else {
    transformations.push({ id: 'merge', options: {} })
  }
  transformations.push(
    {
      id: 'filterFieldsByName',
      options: {
        include: { pattern: `^(${[...about.rows.map(({ label }) => label), 'Value.*', 'Trend.*'].join('|')})$` },
      },
    },
    { id: 'organize', options: { renameByName: names, indexByName: order, excludeByName: {} } },
  )
  for (const { title, width, links, shorten } of about.rows) {
    // A row without that label has nothing to say here.
    const properties: DynamicConfigValue[] = [{ id: 'noValue', value: '–' }]
    if (width !== undefined) properties.push({ id: 'custom.width', value: width })
    if (shorten !== undefined) {
      const mapping = { type: 'regex', options: { pattern: shorten, result: { text: '$1', index: 0 } } }
      properties.push({ id: 'mappings', value: [mapping] })
    }
    if (links !== undefined) {
      properties.push({
        id: 'links',
        value: links.map(({ title, url, newTab = false }) => ({ title, url, targetBlank: newTab })),
      })
    }
    panel.overrideByName(title, properties)
  }
  for (const transformation of transformations) panel.withTransformation(transformation)
  return panel
}

function cellOf({ trend, cell }: Column): TableCellOptions {
  if (trend) return { type: 'sparkline', lineWidth: 1, fillOpacity: 20, hideValue: true } as TableCellOptions
  if (cell === 'background') return { type: 'color-background', mode: 'basic' } as TableCellOptions
  if (cell === 'bar') return { type: 'gauge', mode: 'basic', valueDisplayMode: 'text' } as TableCellOptions
  return { type: 'auto' } as TableCellOptions
}

export interface NoteAbout {
  readonly title: string
  readonly description: string
  readonly markdown: string
  readonly span: number
  readonly height: number
}

export function note({ title, description, markdown, span, height }: NoteAbout): texts.PanelBuilder {
  return new texts.PanelBuilder()
    .title(title)
    .description(description)
    .mode(texts.TextMode.Markdown)
    .content(markdown)
    .span(span)
    .height(height)
}
