/** For tests of apps that use Afterspan, and for Afterspan's own. */
export { createInMemoryTelemetry, type InMemoryTelemetry } from '../sdk/in-memory.ts'
export { ControlledClock } from './controlled-clock.ts'
export { MemoryEngine, type MemoryQueue } from './memory-engine.ts'
export { createTestTasks, type HistogramValue, TestTasks, type TestTasksOptions } from './test-tasks.ts'
