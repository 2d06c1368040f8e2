import {
  type Field,
  FieldConfigOptionsRegistry,
  type FieldConfigPropertyItem,
  type FieldConfigSource,
  FieldType,
  identityOverrideProcessor,
  type ThresholdsConfig,
} from '@grafana/data'
import type { Panel } from './model.ts'

/** What Grafana's panels take where the JSON says nothing. */
const DEFAULTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  timeseries: {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    barAlignment: 0,
    barWidthFactor: 0.6,
    lineWidth: 1,
    fillOpacity: 0,
    gradientMode: 'none',
    spanNulls: false,
    insertNulls: false,
    showPoints: 'auto',
    pointSize: 5,
    stacking: { mode: 'none', group: 'A' },
    axisPlacement: 'auto',
    axisLabel: '',
    axisColorMode: 'text',
    axisBorderShow: false,
    scaleDistribution: { type: 'linear' },
    axisCenteredZero: false,
    hideFrom: { tooltip: false, viz: false, legend: false },
    thresholdsStyle: { mode: 'off' },
  },
  table: { align: 'auto', inspect: false, cellOptions: { type: 'auto' }, filterable: false },
}

const STANDARD = [
  'displayName',
  'unit',
  'min',
  'max',
  'fieldMinMax',
  'decimals',
  'color',
  'noValue',
  'links',
  'actions',
  'mappings',
  'thresholds',
  'filterable',
  'description',
]
const ONLY_NUMBERS = new Set(['min', 'max', 'decimals', 'fieldMinMax'])

function property(id: string, isCustom: boolean, shouldApply: (field: Field) => boolean): FieldConfigPropertyItem {
  const item = {
    id: isCustom ? `custom.${id}` : id,
    path: id,
    name: id,
    isCustom,
    shouldApply,
    process: identityOverrideProcessor,
    getItemsCount: () => 0,
    editor: () => null,
    override: () => null,
  }
  return item as unknown as FieldConfigPropertyItem
}

/** Which properties a panel's fields have: `applyFieldOverrides` ignores those that are not registered. */
export function registry(panel: Panel): FieldConfigOptionsRegistry {
  const given = panel.fieldConfig
  const overridden = (given?.overrides ?? []).flatMap(({ properties }) => properties.map(({ id }) => id))
  const custom = new Set([
    ...Object.keys(DEFAULTS[panel.type] ?? {}),
    ...Object.keys(given?.defaults.custom ?? {}),
    ...overridden.filter((id) => id.startsWith('custom.')).map((id) => id.slice('custom.'.length)),
  ])
  const items = new FieldConfigOptionsRegistry()
  for (const id of STANDARD) {
    items.register(property(id, false, (field) => !ONLY_NUMBERS.has(id) || field.type === FieldType.number))
  }
  const graph = panel.type === 'timeseries'
  for (const id of custom) items.register(property(id, true, (field) => !graph || field.type !== FieldType.time))
  return items
}

/** The panel's field config with Grafana's defaults, and the base of thresholds as it is in memory. */
export function fieldConfig({ type, fieldConfig: given }: Panel): FieldConfigSource {
  const defaults = given?.defaults ?? {}
  const byDefault = { mode: type === 'timeseries' ? 'palette-classic' : 'thresholds' }
  return {
    defaults: {
      ...defaults,
      color: defaults.color ?? byDefault,
      thresholds: based(defaults.thresholds),
      custom: { ...DEFAULTS[type], ...defaults.custom },
    },
    overrides: (given?.overrides ?? []).map((override) => ({
      ...override,
      properties: override.properties.map((one) =>
        one.id === 'thresholds' ? { ...one, value: based(one.value as ThresholdsConfig) } : one,
      ),
    })),
  }
}

/** JSON has no -Infinity: the first step's value is null there. */
function based(thresholds: ThresholdsConfig | undefined): ThresholdsConfig | undefined {
  if (thresholds === undefined) return undefined
  return { ...thresholds, steps: thresholds.steps.map((step) => ({ ...step, value: step.value ?? -Infinity })) }
}
