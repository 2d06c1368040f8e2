import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from './harness/backends.ts'
import {
  describeWithServers,
  type RealServer,
  removeSharedMemory,
  type ServerName,
  startPostgres,
  startRedis,
} from './harness/servers.ts'

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** The shared memory that PostgreSQL says it has, and whether the system has it. Redis has none. */
function segmentOf(directory: string): string | undefined {
  const file = `${directory}/data/postmaster.pid`
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n')[6]?.trim().split(/\s+/)[1] : undefined
}

function exists(segment: string | undefined): boolean {
  const list = execFileSync('ipcs', ['-m'], { encoding: 'utf8' })
  return segment !== undefined && new RegExp(`^0x\\S+ +${segment} `, 'm').test(list)
}

/** A client that does not hide a broken connection by making another one. */
async function redisAt(port: number): Promise<Redis> {
  const client = new Redis({ host: '127.0.0.1', port, lazyConnect: true, retryStrategy: () => null })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function postgresAt(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** A wait that only the server's end cuts short; in an object, so that an `await` gives it unsettled. */
interface Pending {
  readonly answer: Promise<unknown>
}

interface Kind {
  readonly name: ServerName
  start(): Promise<RealServer>
  write(server: RealServer, value: string): Promise<void>
  read(server: RealServer): Promise<string[]>
  wait(server: RealServer): Promise<Pending>
}

const KINDS: readonly Kind[] = [
  {
    name: 'redis',
    start: () => startRedis(),
    async write({ port }, value) {
      const client = await redisAt(port)
      await client.rpush('kept', value)
      client.disconnect()
    },
    async read({ port }) {
      const client = await redisAt(port)
      const values = await client.lrange('kept', 0, -1)
      client.disconnect()
      return values
    },
    async wait({ port }) {
      const client = await redisAt(port)
      return { answer: client.blpop('nothing', 0) }
    },
  },
  {
    name: 'postgres',
    start: () => startPostgres(),
    async write({ url }, value) {
      const client = await postgresAt(url)
      await client.query('create table if not exists kept (id serial, value text)')
      await client.query('insert into kept (value) values ($1)', [value])
      await client.end()
    },
    async read({ url }) {
      const client = await postgresAt(url)
      const { rows } = await client.query<{ value: string }>('select value from kept order by id')
      await client.end()
      return rows.map(({ value }) => value)
    },
    async wait({ url }) {
      const client = await postgresAt(url)
      return { answer: client.query('select pg_sleep(600)') }
    },
  },
]

for (const kind of KINDS) {
  describeWithServers([kind.name], `a real server: ${kind.name}`, () => {
    let server: RealServer
    beforeAll(async () => {
      server = await kind.start()
    })
    afterAll(() => server?.dispose())

    test('answers, and keeps its data, its url and its port over a stop', async () => {
      await kind.write(server, 'first')
      const { pid, url } = server
      await server.stop()
      expect([alive(pid), await isOpen(server.port)]).toEqual([false, false])
      await server.start()
      expect(server.pid).not.toBe(pid)
      expect(server.url).toBe(url)
      expect(await kind.read(server)).toEqual(['first'])
    })

    test('keeps what it has answered over a kill, also one that comes at once', async () => {
      const { pid } = server
      await kind.write(server, 'second')
      await server.kill()
      expect([alive(pid), await isOpen(server.port)]).toEqual([false, false])
      await server.start()
      expect(await kind.read(server)).toEqual(['first', 'second'])
    })

    for (const end of ['stop', 'kill'] as const) {
      test(`a ${end} waits for no client, and takes the ones there are along`, async () => {
        const { answer } = await kind.wait(server)
        const failed = expect(answer).rejects.toThrow()
        const start = performance.now()
        await server[end]()
        await failed
        // The stop's own patience is longer: no SIGKILL has helped it.
        expect(performance.now() - start).toBeLessThan(10_000)
        await server.start()
      })
    }

    test('listens on loopback only', async () => {
      const listening = execFileSync('cat', ['/proc/net/tcp', '/proc/net/tcp6'], { encoding: 'utf8' })
      const port = server.port.toString(16).toUpperCase().padStart(4, '0')
      const addresses = [...listening.matchAll(new RegExp(`: (\\w+):${port} \\w+:0000 0A`, 'g'))].map(([, it]) => it)
      expect(addresses).toEqual(['0100007F'])
    })

    test('a second stop, kill or start is nothing', async () => {
      const { pid } = server
      await server.start()
      expect(server.pid).toBe(pid)
      await server.stop()
      await server.stop()
      await server.kill()
      await server.start()
    })

    test('leaves neither a process nor a port nor files nor shared memory', async () => {
      const other = await kind.start()
      const segment = segmentOf(other.directory)
      expect(exists(segment)).toBe(kind.name === 'postgres')
      await kind.write(other, 'gone')
      expect([alive(other.pid), await isOpen(other.port), existsSync(other.directory)]).toEqual([true, true, true])
      await other[Symbol.asyncDispose]()
      expect([alive(other.pid), await isOpen(other.port), existsSync(other.directory)]).toEqual([false, false, false])
      expect(exists(segment)).toBe(false)
      await other.dispose()
    })

    test('says what the server says when that does not start', async () => {
      const settings = { nonsense: 'yes' }
      const start = kind.name === 'redis' ? startRedis({ settings }) : startPostgres({ settings })
      await expect(start).rejects.toThrow(/ended by itself:[\s\S]*nonsense/)
    })

    // The process in the middle runs TypeScript as it is.
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      test.runIf(process.features.typescript)(`ends when its test's process ends by ${signal}`, async () => {
        const harness = new URL('./harness/servers.ts', import.meta.url)
        const script = `
          import { registerHooks } from 'node:module'
          const url = 'data:text/javascript,export const describe = undefined'
          registerHooks({
            resolve: (name, context, next) => (name === 'vitest' ? { url, shortCircuit: true } : next(name, context)),
          })
          const { startRedis, startPostgres } = await import(${JSON.stringify(harness.href)})
          process.on('SIGTERM', () => process.exit())
          const { pid, port, directory } = await ${kind.name === 'redis' ? 'startRedis' : 'startPostgres'}()
          console.log(JSON.stringify({ pid, port, directory }))
          setInterval(() => {}, 1_000)`
        const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        const [line] = (await once(child.stdout, 'data')) as [Buffer]
        const orphan = JSON.parse(String(line)) as { pid: number; port: number; directory: string }
        expect([alive(orphan.pid), await isOpen(orphan.port)]).toEqual([true, true])
        const segment = segmentOf(orphan.directory)
        child.kill(signal)
        await once(child, 'exit')
        await until('the orphan to end', 5_000, async () => {
          return (!alive(orphan.pid) && !(await isOpen(orphan.port))) || undefined
        })
        // A killed process removes nothing.
        expect(existsSync(orphan.directory)).toBe(signal === 'SIGKILL')
        removeSharedMemory(orphan.directory)
        rmSync(orphan.directory, { recursive: true, force: true, maxRetries: 5 })
        expect(exists(segment)).toBe(false)
      })
    }
  })
}
