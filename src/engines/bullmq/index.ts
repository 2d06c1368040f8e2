export { bullmq } from './bullmq.ts'
export type { BullMQOptions } from './options.ts'
