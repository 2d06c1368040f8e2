import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  dateTime,
  type GrafanaTheme2,
  rangeUtil,
  type TimeRange,
} from '@grafana/data'
import { fieldConfig, registry } from './fields.ts'
import { annotations, type Moment, query, seconds } from './frames.ts'
import type { Annotation, Order, Panel, PanelData } from './model.ts'
import { transform } from './transform.ts'
import { Variables } from './variables.ts'

/** Pixels between panels and beside them, the height of a row of the grid, and its columns, as in Grafana. */
export const GRID = { gap: 8, side: 16, row: 30, columns: 24 }

export interface Loaded {
  readonly timeRange: TimeRange
  readonly variables: Variables
  readonly annotations: readonly Annotation[]
  readonly panels: ReadonlyMap<Panel, PanelData | Error>
}

export function columnWidth(page: number): number {
  return (page - 2 * GRID.side + GRID.gap) / GRID.columns
}

function rangeOf({ from, to, now }: Order): TimeRange {
  const at = (text: string) => (/^\d+$/.test(text) ? dateTime(Number(text)) : relative(text, now))
  return { from: at(from), to: at(to), raw: { from, to } }
}

/** `now-15m`, counted from the moment of the picture. */
function relative(text: string, now: number) {
  const [, length] = /^now(?:-(\w+))?$/.exec(text) ?? []
  return dateTime(now - (length === undefined ? 0 : seconds(length) * 1000))
}

/** Everything that the panels need, before the first is drawn. */
export async function load(order: Order, theme: GrafanaTheme2): Promise<Loaded> {
  const timeRange = rangeOf(order)
  const { dashboard } = order
  const variables = await Variables.resolve(dashboard, order, timeRange)
  const moment: Moment = {
    time: timeRange,
    scrape: seconds(order.interval),
    step: (points, least) =>
      rangeUtil.calculateInterval(timeRange, points, least ? least.replace(/^>/, '') : order.interval).intervalMs /
      1000,
  }
  const asked = (dashboard.annotations?.list ?? []).filter(({ enable, expr }) => enable && expr)
  const marks = await Promise.all(asked.map((one) => annotations(one, variables, moment)))
  const panels = await Promise.all(
    dashboard.panels.map(async (panel): Promise<[Panel, PanelData | Error]> => {
      const width = panel.gridPos.w * columnWidth(order.width) - GRID.gap
      const data = await panelData(panel, variables, moment, width, theme).catch((error: Error) => error)
      return [panel, data]
    }),
  )
  return { timeRange, variables, annotations: marks.flat(), panels: new Map(panels) }
}

async function panelData(panel: Panel, variables: Variables, moment: Moment, width: number, theme: GrafanaTheme2) {
  const replaceVariables = (text: string) => variables.text(text)
  const { frames, exemplars } = await query(panel, variables, moment, width)
  const transformed = await transform(frames, panel.transformations ?? [], replaceVariables)
  const data = applyFieldOverrides({
    data: transformed,
    fieldConfig: fieldConfig(panel),
    fieldConfigRegistry: registry(panel),
    replaceVariables,
    theme,
    timeZone: 'browser',
  })
  cacheFieldDisplayNames(data)
  return { frames: data, exemplars }
}
