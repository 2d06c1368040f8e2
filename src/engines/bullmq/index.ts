export { bullmq } from './bullmq.ts'
export { type CreateWorkerOptions, createWorker } from './create-worker.ts'
export type { BullMQOptions } from './options.ts'
export { type BullMQTelemetryOptions, telemetry } from './telemetry.ts'
