import type { ComponentType } from 'react'
import type { PanelProps } from '../model.ts'
import { AlertsPanel } from './alerts.tsx'
import { HeatmapPanel } from './heatmap.tsx'
import { BarGaugePanel, StatPanel } from './single.tsx'
import { TablePanel } from './table.tsx'
import { TextPanel } from './text.tsx'
import { TimeSeriesPanel } from './timeseries.tsx'

export const PANELS: Readonly<Record<string, ComponentType<PanelProps>>> = {
  alertlist: AlertsPanel,
  bargauge: BarGaugePanel,
  heatmap: HeatmapPanel,
  stat: StatPanel,
  table: TablePanel,
  text: TextPanel,
  timeseries: TimeSeriesPanel,
}
