import { bullmq } from 'afterspan/bullmq'
import { afterAll, beforeAll } from 'vitest'
import { describeWithServers, type RealServer, startRedis } from '../harness/servers.ts'
import { faults } from './faults.ts'

describeWithServers(['redis'], 'BullMQ', () => {
  let redis: RealServer
  beforeAll(async () => {
    // What is accepted is on the disk, so that a test may ask for all of it.
    redis = await startRedis({ settings: { appendfsync: 'always' } })
  })
  afterAll(() => redis.dispose())
  faults('BullMQ', {
    server: () => redis,
    options: (port, more) => ['bullmq', { connection: { host: '127.0.0.1', port }, ...more }],
    engine: ([, options]) => bullmq(options as Parameters<typeof bullmq>[0]),
  })
})
