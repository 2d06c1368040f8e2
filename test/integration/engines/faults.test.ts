import { bullmq } from 'afterspan/bullmq'
import { pgBoss } from 'afterspan/pg-boss'
import { afterAll, beforeAll } from 'vitest'
import { describeWithServers, type RealServer, startPostgres, startRedis } from '../harness/servers.ts'
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

describeWithServers(['postgres'], 'pg-boss', () => {
  let postgres: RealServer
  beforeAll(async () => {
    postgres = await startPostgres()
  })
  afterAll(() => postgres.dispose())
  faults('pg-boss', {
    server: () => postgres,
    options: (port, more) => [
      'pg-boss',
      { connection: { host: '127.0.0.1', port, user: 'postgres', database: 'postgres' }, ...more },
    ],
    engine: ([, options]) => pgBoss(options as Parameters<typeof pgBoss>[0]),
  })
})
