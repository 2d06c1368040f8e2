import type { DataFrame, FieldConfigSource, TimeRange } from '@grafana/data'

/** What `render.ts` tells the page to draw. */
export interface Order {
  readonly dashboard: Dashboard
  /** As in Grafana's URL: `now-15m`, or milliseconds. */
  readonly from: string
  readonly to: string
  /** Milliseconds; all panels are drawn for the same moment. */
  readonly now: number
  /** Values of variables by name; what is not here is looked up as Grafana does. */
  readonly variables: Readonly<Record<string, readonly string[]>>
  readonly theme: 'dark' | 'light'
  /** The data source's scrape interval, Grafana's least step. */
  readonly interval: string
  readonly width: number
}

/** What became of a panel, for the terminal. */
export interface Drawn {
  readonly title: string
  readonly type: string
  readonly rows: number
  readonly error?: string
}

declare global {
  interface Window {
    order: Order
    drawn?: Drawn[]
    __grafana_public_path__?: string
  }
}

/** The part of Grafana's dashboard JSON that is drawn. */
export interface Dashboard {
  readonly title: string
  readonly panels: readonly Panel[]
  readonly refresh?: string
  readonly time?: { readonly from: string; readonly to: string }
  readonly templating?: { readonly list?: readonly Variable[] }
  readonly annotations?: { readonly list?: readonly AnnotationQuery[] }
  readonly links?: readonly DashboardLink[]
}

export interface DashboardLink {
  readonly title: string
  readonly placement?: string
}

export interface Variable {
  readonly type: string
  readonly name: string
  readonly label?: string
  readonly query?: string | { readonly query?: string }
  readonly regex?: string
  readonly sort?: number
  readonly multi?: boolean
  readonly includeAll?: boolean
  readonly allValue?: string
  readonly current?: { readonly value?: string | readonly string[] }
  /** 1: no label, 2: not shown. */
  readonly hide?: number
}

export interface AnnotationQuery {
  readonly name: string
  readonly enable?: boolean
  readonly expr?: string
  readonly step?: string
  readonly iconColor?: string
  readonly placement?: string
}

export interface Target {
  readonly refId: string
  readonly expr?: string
  readonly legendFormat?: string
  readonly format?: string
  readonly instant?: boolean
  readonly range?: boolean
  readonly exemplar?: boolean
  readonly interval?: string
  readonly hide?: boolean
}

export interface Transformation {
  readonly id: string
  readonly options?: unknown
  readonly filter?: { readonly id: string; readonly options?: unknown }
  readonly disabled?: boolean
}

// biome-ignore lint/suspicious/noExplicitAny: each type of panel has options of its own, and the JSON is not checked
export type Options = Record<string, any>

export interface Panel {
  readonly id?: number
  readonly type: string
  readonly title?: string
  readonly description?: string
  readonly transparent?: boolean
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly collapsed?: boolean
  readonly panels?: readonly Panel[]
  readonly targets?: readonly Target[]
  readonly transformations?: readonly Transformation[]
  readonly options?: Options
  readonly fieldConfig?: FieldConfigSource
  readonly maxDataPoints?: number | null
  readonly interval?: string
}

export interface Annotation {
  readonly name: string
  readonly colour: string
  /** Milliseconds; the two are the same for a moment. */
  readonly from: number
  readonly to: number
}

/** What a panel is drawn from. */
export interface PanelData {
  readonly frames: DataFrame[]
  /** Frames of exemplars, one per query that asks for them. */
  readonly exemplars: DataFrame[]
}

export interface PanelProps {
  readonly panel: Panel
  readonly data: PanelData
  readonly annotations: readonly Annotation[]
  readonly timeRange: TimeRange
  readonly options: Options
  readonly fieldConfig: FieldConfigSource
  readonly replaceVariables: (text: string) => string
  readonly width: number
  readonly height: number
}
