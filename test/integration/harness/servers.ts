import { execFileSync } from 'node:child_process'
import { accessSync, chownSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { describe } from 'vitest'
import { Backend } from './backends.ts'
import { LOOPBACK, lastingPort, type RealServer, started } from './real-server.ts'

export { startProxy, type TcpProxy } from './proxy.ts'
export type { RealServer } from './real-server.ts'

/** PostgreSQL refuses to run as root; Debian's package brings this user. */
const POSTGRES_USER = 'postgres'
const POSTGRES_HOMES = '/usr/lib/postgresql'

// --- Finding

/** The first directory that has all these programs. */
function directoryOf(programs: readonly string[], directories: readonly string[]): string | undefined {
  const has = (path: string) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  }
  return directories.find((directory) => directory && programs.every((program) => has(join(directory, program))))
}

function onPath(): string[] {
  return (process.env.PATH ?? '').split(delimiter)
}

/** Debian keeps PostgreSQL's own programs off `PATH`. The newest version comes first. */
function postgresHomes(): string[] {
  if (!existsSync(POSTGRES_HOMES)) return []
  const versions = readdirSync(POSTGRES_HOMES).sort((a, b) => Number(b) - Number(a))
  return versions.map((version) => join(POSTGRES_HOMES, version, 'bin'))
}

function redisDirectory(): string | undefined {
  return directoryOf(['redis-server'], onPath())
}

function postgresDirectory(): string | undefined {
  return directoryOf(['initdb', 'postgres'], [...onPath(), ...postgresHomes()])
}

function idOf(user: string, kind: '-u' | '-g'): number | undefined {
  try {
    return Number(execFileSync('id', [kind, user], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  } catch {
    return undefined
  }
}

const isRoot = () => process.getuid?.() === 0

/** Why there can be no Redis here; nothing when there can. */
export function redisMissing(): string | undefined {
  return redisDirectory() === undefined ? 'redis-server not installed' : undefined
}

/** Why there can be no PostgreSQL here; nothing when there can. */
export function postgresMissing(): string | undefined {
  if (postgresDirectory() === undefined) return 'postgresql not installed'
  if (!isRoot()) return undefined
  if (idOf(POSTGRES_USER, '-u') === undefined) return `no user ${POSTGRES_USER} to run PostgreSQL as`
  return directoryOf(['setpriv'], onPath()) === undefined ? 'setpriv not installed' : undefined
}

const MISSING = { redis: redisMissing, postgres: postgresMissing }
export type ServerName = keyof typeof MISSING

/** `describeWith` of backends.ts for these servers: skipped with the reason in the title, and an error with `CI=true`. */
export function describeWithServers(needs: readonly ServerName[], name: string, tests: () => void): void {
  const missing = needs.map((need) => MISSING[need]()).filter((reason) => reason !== undefined)
  if (missing.length === 0) describe(name, tests)
  else if (process.env.CI === 'true') throw new Error(`"${name}": ${missing.join(', ')}, and CI must have it.`)
  else describe.skip(`${name} (skipped: ${missing.join(', ')}; see .ci/run)`, tests)
}

function required(missing: string | undefined): void {
  if (missing !== undefined) throw new Error(`${missing}. bash .ci/run installs it.`)
}

// --- Redis

export interface RedisOptions {
  /** More of Redis' own settings, such as `{ 'maxmemory': '4mb' }`. */
  readonly settings?: Readonly<Record<string, string>>
}

export async function startRedis({ settings = {} }: RedisOptions = {}): Promise<RealServer> {
  required(redisMissing())
  const program = join(redisDirectory()!, 'redis-server')
  const port = await lastingPort()
  const directory = mkdtempSync(join(tmpdir(), 'afterspan-redis-'))
  const all = {
    bind: LOOPBACK,
    port: String(port),
    dir: directory,
    save: '',
    // What has been answered is in the file by then, so it outlives a kill; only a power cut takes the last second.
    appendonly: 'yes',
    appendfsync: 'everysec',
    'maxmemory-policy': 'noeviction',
    ...settings,
  }
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value])
  return started({
    name: 'redis-server',
    url: `redis://${LOOPBACK}:${port}`,
    port,
    directory,
    stopSignal: 'SIGTERM',
    launch: () => new Backend('redis-server', program, args, {}, directory),
    async ask() {
      const client = new Redis({ host: LOOPBACK, port, lazyConnect: true, retryStrategy: () => null })
      client.on('error', () => {})
      try {
        await client.connect()
        await client.ping()
      } finally {
        client.disconnect()
      }
    },
  })
}

// --- PostgreSQL

export interface PostgresOptions {
  /** More of PostgreSQL's own settings, such as `{ max_connections: '10' }`. */
  readonly settings?: Readonly<Record<string, string>>
}

/** Its user and its database are both `postgres`, and it asks for no password. */
export async function startPostgres({ settings = {} }: PostgresOptions = {}): Promise<RealServer> {
  required(postgresMissing())
  const programs = postgresDirectory()!
  const port = await lastingPort()
  const directory = mkdtempSync(join(tmpdir(), 'afterspan-postgres-'))
  const data = join(directory, 'data')
  const url = `postgres://postgres@${LOOPBACK}:${port}/postgres`
  // setpriv becomes the program, so that the process we start is PostgreSQL itself.
  const own = isRoot() ? ['setpriv', `--reuid=${POSTGRES_USER}`, `--regid=${POSTGRES_USER}`, '--init-groups'] : []
  const command = (program: string, args: readonly string[]): [string, ...string[]] =>
    [...own, join(programs, program), ...args] as [string, ...string[]]
  const all = {
    listen_addresses: LOOPBACK,
    port: String(port),
    unix_socket_directories: directory,
    // Files outlive a kill without it; only a power cut needs it.
    fsync: 'off',
    // As files in its own directory, which go with it.
    dynamic_shared_memory_type: 'mmap',
    ...settings,
  }
  const args = ['-D', data, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  try {
    if (isRoot()) chownSync(directory, idOf(POSTGRES_USER, '-u')!, idOf(POSTGRES_USER, '-g')!)
    const [program, ...rest] = command('initdb', [
      ...['-D', data, '--username=postgres', '--auth=trust', '--no-sync', '--encoding=UTF8', '--no-locale'],
    ])
    execFileSync(program, rest, { cwd: directory, encoding: 'utf8', stdio: 'pipe', timeout: 60_000 })
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
  return started({
    name: 'postgres',
    url,
    port,
    directory,
    // A "fast" shutdown; SIGTERM's would wait until the last client has gone.
    stopSignal: 'SIGINT',
    launch() {
      const [program, ...rest] = command('postgres', args)
      return new Backend('postgres', program, rest, {}, directory)
    },
    async ask() {
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
      client.on('error', () => {})
      try {
        await client.connect()
        await client.query('select 1')
      } finally {
        await client.end().catch(() => {})
      }
    },
    tidy: () => removeSharedMemory(directory),
  })
}

/**
 * A killed PostgreSQL leaves its segment of shared memory behind, of which a system has only so many. The file that
 * it leaves too has the segment's key and id in line 7.
 */
export function removeSharedMemory(directory: string): void {
  const file = join(directory, 'data/postmaster.pid')
  if (!existsSync(file)) return
  const id = readFileSync(file, 'utf8').split('\n')[6]?.trim().split(/\s+/)[1]
  try {
    if (id) execFileSync('ipcrm', ['-m', id], { stdio: 'ignore' })
  } catch {
    // Already gone, or no such program.
  }
}
