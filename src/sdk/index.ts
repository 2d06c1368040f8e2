export { createInMemoryTelemetry, type InMemoryTelemetry, type InMemoryTelemetryOptions } from './in-memory.ts'
