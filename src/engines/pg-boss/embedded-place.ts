import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { AfterspanError } from '../../model/errors.ts'

/** `sun_path` has 104 bytes on macOS and 108 on Linux, with the zero at its end. */
const MAX_SOCKET_PATH = 103
const TEMPORARY = /^afterspan-\w{6}$/

/** Where everything of one embedded database is. */
export interface Place {
  /** As the user gave it, for messages. */
  readonly directory: string
  /** Below `directory`, of mode 0700: PGlite makes its files readable by all. */
  readonly root: string
  readonly data: string
}

/** Where the owner listens. */
export interface Address {
  readonly socket: string
  readonly pid: number
}

/** Gives back the lock. */
export type Release = () => void

/** Makes the folder, if need be, and follows links, so that all processes mean the same files. */
export function placeOf(directory: string): Place {
  mkdirSync(join(directory, 'afterspan'), { recursive: true, mode: 0o700 })
  const root = realpathSync(join(directory, 'afterspan'))
  return { directory, root, data: join(root, 'data') }
}

/**
 * Takes the lock that only one process can have, or gives undefined when another has it. It is SQLite's lock on an empty
 * file, so one that the kernel keeps and ends with the process: there are no stale ones, and no time-outs to guess.
 *
 * @throws AfterspanError ERR_AFTERSPAN_ENGINE_REFUSED when there can be no lock, as on some network drives.
 */
export async function takeLock({ directory, root }: Place): Promise<Release | undefined> {
  const { DatabaseSync } = await import('node:sqlite')
  let lock: DatabaseSync | undefined
  try {
    lock = new DatabaseSync(join(root, 'lock'))
    lock.exec('BEGIN EXCLUSIVE')
  } catch (cause) {
    lock?.close()
    // SQLITE_BUSY, with or without one of its details in the upper bits.
    if (((cause as { errcode?: number }).errcode ?? 0) % 256 === 5) return undefined
    throw new AfterspanError('ERR_AFTERSPAN_ENGINE_REFUSED', `There is no locking ${directory}: ${cause}`, { cause })
  }
  return () => lock.close()
}

/** Where the owner, or the last one if none is alive, listens or listened. Undefined when there was none. */
export function readAddress({ root }: Place): Address | undefined {
  try {
    return JSON.parse(readFileSync(join(root, 'address'), 'utf8')) as Address
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Finds a name for the owner's socket that other users cannot reach, and clears what an owner that was killed left behind.
 * Only for who has the lock. A folder too long for the name of a socket gets it in a new folder of the temporary ones.
 */
export function newSocket(place: Place): string {
  const last = readAddress(place)
  if (last !== undefined) removeSocket(last.socket)
  if (process.platform === 'win32') return `\\\\.\\pipe\\afterspan-${crypto.randomUUID()}`
  const near = join(place.root, 'socket')
  const room = [tmpdir(), '/tmp'].find(
    (folder) => Buffer.byteLength(join(folder, 'afterspan-123456', 's')) <= MAX_SOCKET_PATH,
  )
  const path =
    Buffer.byteLength(near) <= MAX_SOCKET_PATH ? near : join(mkdtempSync(join(room ?? '/tmp', 'afterspan-')), 's')
  rmSync(path, { force: true })
  return path
}

/** Tells the others where the socket is: a file at once whole, because it is renamed to its place. */
export function writeAddress({ root }: Place, socket: string): void {
  const address: Address = { socket, pid: process.pid }
  writeFileSync(join(root, 'address.new'), JSON.stringify(address), { mode: 0o600 })
  renameSync(join(root, 'address.new'), join(root, 'address'))
}

export function removeSocket(socket: string): void {
  if (process.platform === 'win32') return
  rmSync(socket, { force: true })
  const folder = dirname(socket)
  if (!TEMPORARY.test(basename(folder))) return
  try {
    rmdirSync(folder)
  } catch {
    // Not there, or with something in it that is not ours.
  }
}
