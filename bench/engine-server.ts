/** A real server for the engines benchmark: its own port and data directory, with the durability of its own defaults or better. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, chownSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'

const LOOPBACK = '127.0.0.1'
/** PostgreSQL refuses to run as root; Debian's package brings this user. */
const POSTGRES_USER = 'postgres'
const POSTGRES_HOMES = '/usr/lib/postgresql'
const isRoot = process.getuid?.() === 0

export interface Server {
  readonly url: string
  /** What it has used of the CPU since it was started, s; NaN where the system does not say. */
  cpu(): number
  /** Empty, as if it were new. */
  reset(): Promise<void>
  stop(): Promise<void>
}

export function redisMissing(): string | undefined {
  return find('redis-server') === undefined ? 'redis-server is not installed' : undefined
}

/** What is answered is in the operating system's hands; it is on the disk a second later. */
export async function startRedis(): Promise<Server> {
  const port = await freePort()
  const directory = mkdtempSync(join(tmpdir(), 'afterspan-bench-redis-'))
  const settings = [
    '--save',
    '',
    '--appendonly',
    'yes',
    '--appendfsync',
    'everysec',
    '--maxmemory-policy',
    'noeviction',
  ]
  const args = ['--bind', LOOPBACK, '--port', String(port), '--dir', directory, ...settings]
  const process = await started(find('redis-server')!, args, port, directory)
  return {
    url: `redis://${LOOPBACK}:${port}`,
    cpu: () => cpuOf(process.pid!),
    async reset() {
      const client = new Redis({ host: LOOPBACK, port })
      await client.flushall()
      client.disconnect()
    },
    stop: () => end(process, directory),
  }
}

export function postgresMissing(): string | undefined {
  if (find('initdb', 'postgres') === undefined) return 'postgresql is not installed'
  if (isRoot && find('setpriv') === undefined) return 'setpriv is not installed'
  return isRoot && idOf('-u') === undefined ? `there is no user ${POSTGRES_USER} to run PostgreSQL as` : undefined
}

/** PostgreSQL as it is by default: what it answers is on the disk. */
export async function startPostgres(): Promise<Server> {
  const port = await freePort()
  const directory = mkdtempSync(join(tmpdir(), 'afterspan-bench-postgres-'))
  const data = join(directory, 'data')
  const own = isRoot ? ['setpriv', `--reuid=${POSTGRES_USER}`, `--regid=${POSTGRES_USER}`, '--init-groups'] : []
  if (isRoot) chownSync(directory, idOf('-u')!, idOf('-g')!)
  const [initdb, ...initArgs] = [
    ...own,
    find('initdb')!,
    ...['-D', data, '--username=postgres', '--auth=trust', '--encoding=UTF8', '--no-locale'],
  ]
  execFileSync(initdb!, initArgs, { cwd: directory, stdio: 'pipe' })
  const settings = { listen_addresses: LOOPBACK, port: String(port), unix_socket_directories: directory }
  const [program, ...args] = [
    ...own,
    find('postgres')!,
    ...['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
  ]
  const process = await started(program!, args, port, directory)
  const url = `postgres://postgres@${LOOPBACK}:${port}/postgres`
  return {
    url,
    cpu: () => cpuOf(process.pid!),
    async reset() {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      await client.query('drop schema if exists pgboss cascade')
      await client.query('vacuum')
      await client.query('checkpoint')
      await client.end()
    },
    stop: () => end(process, directory, 'SIGINT'),
  }
}

/** The first one's path, in a directory that has them all. */
function find(...programs: readonly string[]): string | undefined {
  // Debian keeps PostgreSQL's own programs off `PATH`.
  const versions = existsSync(POSTGRES_HOMES)
    ? readdirSync(POSTGRES_HOMES).toSorted((a, b) => Number(b) - Number(a))
    : []
  const homes = versions.map((version) => join(POSTGRES_HOMES, version, 'bin'))
  const directories = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...homes]
  const directory = directories.find((one) => programs.every((program) => executable(join(one, program))))
  return directory === undefined ? undefined : join(directory, programs[0]!)
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function idOf(kind: '-u' | '-g'): number | undefined {
  try {
    return Number(execFileSync('id', [kind, POSTGRES_USER], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  } catch {
    return undefined
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await once(server.close(), 'close')
  return port
}

/** Resolves when it takes connections. */
async function started(
  program: string,
  args: readonly string[],
  port: number,
  directory: string,
): Promise<ChildProcess> {
  const child = spawn(program, args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr!.on('data', (chunk: Buffer) => {
    errors = (errors + chunk).slice(-10_000)
  })
  for (let tries = 0; tries < 600; tries++) {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}:\n${errors}`)
    if (await answers(port)) return child
    await sleep(50)
  }
  await end(child, directory)
  throw new Error(`${program} does not answer:\n${errors}`)
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, LOOPBACK)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

async function end(child: ChildProcess, directory: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode === null) {
    const closed = once(child, 'close')
    child.kill(signal)
    await closed
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
}

/** Of a process, its threads and its children, those that have ended included, s. */
function cpuOf(pid: number): number {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
    return children.map(cpuOf).reduce((sum, cpu) => sum + (Number.isNaN(cpu) ? 0 : cpu), ownCpu(pid))
  } catch {
    return Number.NaN
  }
}

function ownCpu(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // After the name, which may have anything in it: state, and from the 12th on utime, stime, cutime and cstime in ticks of 10 ms.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) / 100, 0)
}
