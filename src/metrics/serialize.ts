import type { ExemplarStore } from '../telemetry/exemplars.ts'
import { familiesOf, type ResourceMetrics } from './families.ts'
import { type Format, write } from './text.ts'

export interface SerializeOptions {
  readonly format: Format
  /** Whose exemplars the buckets get; OpenMetrics alone can carry them. */
  readonly exemplars: ExemplarStore
}

/** The text that Prometheus scrapes, of what an OpenTelemetry reader has collected. */
export function serialize(collected: ResourceMetrics, { format, exemplars }: SerializeOptions): string {
  return write(familiesOf(collected, exemplars), format)
}
