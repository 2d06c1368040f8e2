import { type FieldDisplay, getDisplayValueAlignmentFactors, getFieldDisplayValues } from '@grafana/data'
import { VizOrientation } from '@grafana/schema'
import {
  BarGauge,
  BarGaugeDisplayMode,
  BigValue,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  useTheme2,
  VizRepeater,
} from '@grafana/ui'
import type { PanelProps } from '../model.ts'

const REDUCE = { calcs: ['lastNotNull'], values: false, fields: '' }

function useValues({ data, options, fieldConfig, replaceVariables }: PanelProps, sparkline: boolean) {
  const theme = useTheme2()
  return (): FieldDisplay[] =>
    getFieldDisplayValues({
      fieldConfig,
      reduceOptions: { ...REDUCE, ...options.reduceOptions },
      replaceVariables,
      theme,
      data: data.frames,
      sparkline,
      timeZone: 'browser',
      percentChange: options.showPercentChange,
    })
}

export function StatPanel(props: PanelProps) {
  const { panel, data, options, fieldConfig, timeRange, width, height } = props
  const theme = useTheme2()
  const graph = options.graphMode ?? BigValueGraphMode.Area
  const named = fieldConfig.defaults.displayName || !panel.title
  const automatic = (options.textMode ?? BigValueTextMode.Auto) === BigValueTextMode.Auto
  const textMode = automatic && named ? BigValueTextMode.ValueAndName : (options.textMode ?? BigValueTextMode.Auto)
  return (
    <VizRepeater
      getValues={useValues(props, graph !== BigValueGraphMode.None)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      source={data}
      width={width}
      height={height}
      itemSpacing={3}
      renderCounter={1}
      autoGrid
      orientation={options.orientation ?? VizOrientation.Auto}
      renderValue={({ value, alignmentFactors, count, ...size }) => (
        <BigValue
          value={value.display}
          count={count}
          sparkline={value.sparkline && { ...value.sparkline, timeRange }}
          colorMode={options.colorMode ?? BigValueColorMode.Value}
          graphMode={graph}
          justifyMode={options.justifyMode ?? BigValueJustifyMode.Auto}
          textMode={textMode}
          alignmentFactors={alignmentFactors}
          text={options.text}
          disableWideLayout={options.wideLayout === false}
          percentChangeColorMode={options.percentChangeColorMode}
          theme={theme}
          width={size.width}
          height={size.height}
        />
      )}
    />
  )
}

export function BarGaugePanel(props: PanelProps) {
  const { data, options, width, height } = props
  const theme = useTheme2()
  return (
    <VizRepeater
      getValues={useValues(props, false)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      source={data}
      width={width}
      height={height}
      itemSpacing={options.displayMode === 'lcd' ? 2 : 10}
      minVizHeight={options.minVizHeight ?? 16}
      minVizWidth={options.minVizWidth ?? 8}
      renderCounter={1}
      orientation={options.orientation ?? VizOrientation.Auto}
      renderValue={({ value, alignmentFactors, orientation, ...size }) => (
        <BarGauge
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
          text={options.text}
          orientation={orientation}
          displayMode={options.displayMode ?? BarGaugeDisplayMode.Gradient}
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          showUnfilled={options.showUnfilled ?? true}
          itemSpacing={options.displayMode === 'lcd' ? 2 : 10}
          alignmentFactors={alignmentFactors}
          theme={theme}
          width={size.width}
          height={size.height}
        />
      )}
    />
  )
}
