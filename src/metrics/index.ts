/** Metrics for Prometheus, served by the app itself. */
export { type MetricsOptions, metrics } from './metrics.ts'
export { metricReader } from './reader.ts'
