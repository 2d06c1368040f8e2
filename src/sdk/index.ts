export { createInMemoryTelemetry, type InMemoryTelemetry, type InMemoryTelemetryOptions } from './in-memory.ts'
export { LinkedSampler } from './sampler.ts'
export { BurstSpanProcessor, type BurstSpanProcessorOptions } from './span-processor.ts'
export { startTelemetry, type Telemetry, type TelemetryOptions } from './start.ts'
