import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bullmq } from 'afterspan/bullmq'
import { pgBoss } from 'afterspan/pg-boss'
import { afterAll, beforeAll, describe } from 'vitest'
import { describeWithServers, type RealServer, startPostgres, startRedis } from '../harness/servers.ts'
import { contract } from './contract.ts'

contract('in this process', 'in-process')

describeWithServers(['redis'], 'on Redis', () => {
  let redis: RealServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.dispose())
  contract('BullMQ', { engine: () => bullmq({ connection: { host: redis.host, port: redis.port } }) })
})

describeWithServers(['postgres'], 'on PostgreSQL', () => {
  let postgres: RealServer
  beforeAll(async () => {
    postgres = await startPostgres()
  })
  afterAll(() => postgres.dispose())
  contract('pg-boss', { engine: () => pgBoss({ connectionString: postgres.url }) })
})

describe('in a directory', () => {
  const directory = mkdtempSync(join(tmpdir(), 'afterspan-contract-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  contract('pg-boss on PGlite', { engine: () => pgBoss({ pglite: join(directory, 'data') }) })
})
