import type { NodeSDKConfiguration } from '@opentelemetry/sdk-node'

/*
 * The SDK's interfaces, read off the one peer whose types are visible from here (`@opentelemetry/sdk-trace` and
 * `@opentelemetry/sdk-metrics` are its dependencies, not ours). Types only: nothing is loaded.
 */

export type SpanProcessor = NonNullable<NodeSDKConfiguration['spanProcessors']>[number]
export type ReadableSpan = Parameters<SpanProcessor['onEnd']>[0]
export type SpanExporter = NodeSDKConfiguration['traceExporter']
export type ExportResult = Parameters<Parameters<SpanExporter['export']>[1]>[0]
export type Sampler = NodeSDKConfiguration['sampler']
export type SamplingResult = ReturnType<Sampler['shouldSample']>
export type MetricReader = NonNullable<NodeSDKConfiguration['metricReaders']>[number]
export type ResourceMetrics = Awaited<ReturnType<MetricReader['collect']>>['resourceMetrics']
export type Instrumentation = Exclude<NodeSDKConfiguration['instrumentations'][number], unknown[]>
export type View = NodeSDKConfiguration['views'][number]
