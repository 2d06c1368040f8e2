import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { until } from './harness/backends.ts'
import { describeWithServers, type RealServer, startProxy, startRedis, type TcpProxy } from './harness/servers.ts'

/** Long enough for an answer that comes at all. */
const SILENCE = 500

/** A client that does not hide a broken connection by making another one. */
async function redisAt(port: number): Promise<Redis> {
  const client = new Redis({ host: '127.0.0.1', port, lazyConnect: true, retryStrategy: () => null })
  client.on('error', () => {})
  await client.connect()
  return client
}

describeWithServers(['redis'], 'the proxy in front of a real server', () => {
  let redis: RealServer
  let proxy: TcpProxy
  let client: Redis
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.dispose())
  beforeEach(async () => {
    proxy = await startProxy(redis)
    client = await redisAt(proxy.port)
  })
  afterEach(async () => {
    client?.disconnect()
    await proxy?.close()
  })

  /** The answer, or `nothing` when there is none in time. */
  const soon = (answer: Promise<unknown>) => Promise.race([answer, sleep(SILENCE, 'nothing')])

  test('forwards, also what is large', async () => {
    const large = 'x'.repeat(8_000_000)
    await client.set('large', large)
    expect(await redisAt(redis.port).then((direct) => direct.get('large').finally(() => direct.disconnect()))).toBe(
      large,
    )
    expect(await client.get('large')).toBe(large)
  })

  test('lets a PING hang in silence with the connection open, and answers it afterwards', async () => {
    let closed = false
    client.once('close', () => {
      closed = true
    })
    proxy.silence()
    const answer = client.ping()
    expect(await soon(answer)).toBe('nothing')
    expect([client.status, closed]).toEqual(['ready', false])
    proxy.resume()
    expect(await soon(answer)).toBe('PONG')
    expect(await soon(client.ping())).toBe('PONG')
  })

  test('opens a new connection in silence, and lets it hang', async () => {
    proxy.silence()
    const socket = connect(proxy)
    const answer = once(socket, 'data')
    await once(socket, 'connect')
    socket.write('PING\r\n')
    expect(await soon(answer)).toBe('nothing')
    proxy.resume()
    expect(String(await soon(answer))).toBe('+PONG\r\n')
    socket.destroy()
  })

  test('lets not even the end of the server through in silence', async () => {
    proxy.silence()
    const answer = client.ping()
    const failed = expect(answer).rejects.toThrow()
    await redis.kill()
    try {
      expect(await soon(failed)).toBe('nothing')
      expect(client.status).toBe('ready')
      proxy.resume()
      await failed
    } finally {
      await redis.start()
    }
  })

  test('keeps a reset by the server to itself in silence, too', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const through = await startProxy(server.address() as AddressInfo)
    try {
      const socket = connect(through)
      const end = once(socket, 'end')
      const reset = expect(end).rejects.toThrow(/ECONNRESET/)
      const [accepted] = (await once(server, 'connection')) as [Socket]
      through.silence()
      accepted.resetAndDestroy()
      expect(await soon(end)).toBe('nothing')
      through.resume()
      await reset
    } finally {
      await through.close()
      server.close()
    }
  })

  test('breaks connections with a cut and refuses new ones until it is mended', async () => {
    const failed = expect(client.blpop('nothing', 0)).rejects.toThrow()
    const raw = connect(proxy)
    await once(raw, 'connect')
    const reset = expect(once(raw, 'end')).rejects.toThrow(/ECONNRESET/)
    await proxy.cut()
    await failed
    await reset
    const refused = connect(proxy)
    await expect(once(refused, 'connect')).rejects.toThrow(/ECONNREFUSED/)
    await proxy.mend()
    const again = await redisAt(proxy.port)
    expect(await again.ping()).toBe('PONG')
    again.disconnect()
  })

  test('breaks a connection to a server that is not there', async () => {
    const nowhere = await startProxy({ port: proxy.port + 30_000 })
    await expect(redisAt(nowhere.port)).rejects.toThrow()
    await nowhere.close()
    await expect(once(connect(nowhere), 'connect')).rejects.toThrow(/ECONNREFUSED/)
  })

  test('leaves the server no connection of a client that has gone', async () => {
    client.disconnect()
    const direct = await redisAt(redis.port)
    await until('the connection to end', 5_000, async () => {
      return (
        String(await direct.client('LIST'))
          .trim()
          .split('\n').length === 1 || undefined
      )
    })
    direct.disconnect()
  })
})
