import { TableNG } from '@grafana/ui/unstable'
import type { PanelProps } from '../model.ts'
import { Empty } from './empty.tsx'

export function TablePanel({ data, options, fieldConfig, timeRange, width, height }: PanelProps) {
  const frame = data.frames[options.frameIndex ?? 0]
  if (frame === undefined || frame.fields.length === 0) return <Empty text={fieldConfig.defaults.noValue} />
  return (
    <TableNG
      data={frame}
      width={width}
      height={height}
      noHeader={options.showHeader === false}
      showTypeIcons={options.showTypeIcons}
      resizable
      sortBy={options.sortBy}
      cellHeight={options.cellHeight}
      enablePagination={options.enablePagination}
      frozenColumns={options.frozenColumns?.left}
      noValue={fieldConfig.defaults.noValue}
      timeRange={timeRange}
      fieldConfig={fieldConfig}
      structureRev={1}
    />
  )
}
