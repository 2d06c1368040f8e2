import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { whyUnreachable } from '../../src/sdk/collector-probe.ts'

test('tells why nothing listens at an address, and nothing where something does, or where there is no address', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  expect(await whyUnreachable(`http://127.0.0.1:${port}/v1/traces`)).toBeUndefined()
  await new Promise((resolve) => server.close(resolve))
  expect(await whyUnreachable(`http://127.0.0.1:${port}/v1/traces`)).toMatchObject({ code: 'ECONNREFUSED' })
  expect(await whyUnreachable('the collector')).toBeUndefined()
})
