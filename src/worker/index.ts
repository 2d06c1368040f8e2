export { defineWorker, type WorkerOptions } from './define-worker.ts'
export type { WorkerContext } from './protocol.ts'
export { Transfer, transfer } from './transfer.ts'
