export { type BullMQOptions, bullmq } from './bullmq.ts'
