/** A recording or alerting rule, as Prometheus' rules files have them. */
export interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly for?: string
  readonly keep_firing_for?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

export interface Group {
  readonly name: string
  /** Default: Prometheus' `evaluation_interval`. */
  readonly interval?: string
  readonly rules: readonly Rule[]
}
