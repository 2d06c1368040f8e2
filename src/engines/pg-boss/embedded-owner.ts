import { existsSync, renameSync, rmSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { PGlite } from '@electric-sql/pglite'
import { AfterspanError } from '../../model/errors.ts'
import { newSocket, type Place, type Release, removeSocket, writeAddress } from './embedded-place.ts'
import {
  type Link,
  NotBegun,
  PROTOCOL,
  pack,
  type Reply,
  type Request,
  type Rows,
  receive,
  send,
} from './embedded-wire.ts'

/** How long the owner waits, when it closes, for guests to leave. In ms. A guest leaves at once unless it hangs. */
const FAREWELL = 1_000

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

interface Listening {
  readonly stop: () => Promise<void>
}

/**
 * The database in this process, and the server of the others. A statement of whichever process, with as many statements in
 * its text as it likes, has PGlite to itself until it has ended, its rollback included.
 */
export class Owner implements Link {
  readonly role = 'owner'
  readonly pid = process.pid
  over = false
  onLost: (() => void) | undefined

  readonly #place: Place
  readonly #release: Release
  readonly #server: Server
  readonly #socketPath: string
  readonly #guests = new Map<Socket, Map<string, Listening>>()
  #db: PGlite | undefined
  #tail: Promise<unknown> = Promise.resolve()

  private constructor(place: Place, release: Release) {
    this.#place = place
    this.#release = release
    this.#socketPath = newSocket(place)
    this.#server = createServer((socket) => this.#welcome(socket))
  }

  /**
   * Opens the directory. Only for who has the lock, which it gives back when it is closed or could not open. It listens
   * first and greets when the database is open, so that guests need not guess how long that takes.
   */
  static async open(place: Place, release: Release): Promise<Owner> {
    let owner: Owner | undefined
    try {
      owner = new Owner(place, release)
      await owner.#open()
      return owner
    } catch (cause) {
      if (owner === undefined) release()
      else await owner.#shut()
      throw new AfterspanError('ERR_AFTERSPAN_ENGINE_REFUSED', `PGlite cannot open ${place.directory}: ${cause}`, {
        cause,
      })
    }
  }

  async run(text: string, values?: unknown[]): Promise<Rows> {
    if (this.over) throw new NotBegun()
    return this.#alone(() => this.#execute(text, values))
  }

  async listen(channel: string, onNotification: (payload: string) => void): Promise<() => Promise<void>> {
    if (this.over) throw new NotBegun()
    const quoted = `"${channel.replaceAll('"', '""')}"`
    const stop = await this.#alone((db) => db.listen(quoted, onNotification))
    return () => (this.over ? Promise.resolve() : this.#alone(() => stop()))
  }

  /** Answers what has arrived, refuses the rest, and lets the next owner in when PGlite has closed its files. */
  async close(): Promise<void> {
    this.onLost = undefined
    if (this.over) return
    this.over = true
    this.#server.close()
    for (const socket of this.#guests.keys()) send(socket, { kind: 'bye' })
    await this.#tail
    const deadline = performance.now() + FAREWELL
    while (this.#guests.size > 0 && performance.now() < deadline) await new Promise((again) => setTimeout(again, 5))
    await this.#shut()
  }

  async #open(): Promise<void> {
    const { PGlite } = await import('@electric-sql/pglite')
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#socketPath, resolve)
    })
    this.#server.on('error', () => {})
    if (process.platform !== 'win32') await chmod(this.#socketPath, 0o600)
    writeAddress(this.#place, this.#socketPath)
    const { data, root } = this.#place
    if (!existsSync(data)) {
      // Made elsewhere and moved when it is whole: a process killed here must not leave half a database behind.
      const making = join(root, 'data.new')
      rmSync(making, { recursive: true, force: true })
      const made = await PGlite.create(making)
      await made.close()
      renameSync(making, data)
    }
    this.#db = await PGlite.create(data, { relaxedDurability: false })
    for (const socket of this.#guests.keys()) this.#greet(socket)
  }

  /** Last of all the lock: until then nobody else may touch the files or the socket. */
  async #shut(): Promise<void> {
    this.over = true
    for (const socket of this.#guests.keys()) socket.destroy()
    this.#server.close()
    await this.#db?.close().catch(() => {})
    removeSocket(this.#socketPath)
    this.#release()
  }

  /**
   * PGlite works within the call and answers by promises alone. Without a turn of the event loop between two statements, a
   * process that sends one after the other would never read from a socket again, and serve nobody.
   */
  #alone<T>(job: (db: PGlite) => Promise<T>): Promise<T> {
    const result = this.#tail.then(() => job(this.#db!))
    this.#tail = result.then(turn, turn)
    return result
  }

  /** Only from `#alone`. */
  async #execute(text: string, values: unknown[] | undefined): Promise<Rows> {
    const db = this.#db!
    let rows: Rows
    try {
      // PGlite's query() takes one statement; its exec() takes many, and no values.
      rows = values?.length
        ? (await db.query<Rows[number]>(text, values)).rows
        : (await db.exec(text)).flatMap((result) => result.rows as Rows)
      if (!db.isInTransaction()) return rows
    } catch (error) {
      await this.#rollback()
      throw error
    }
    await this.#rollback()
    throw new AfterspanError(
      'ERR_AFTERSPAN_ENGINE',
      'The embedded database takes a transaction as one text: BEGIN; …; COMMIT. This one began and did not end; it was ' +
        'rolled back.',
    )
  }

  async #rollback(): Promise<void> {
    try {
      await this.#db!.exec('ROLLBACK')
    } catch {
      // PGlite itself has ended, as when the disk is full. Let whoever asks next open the directory anew.
      if (this.over) return
      this.over = true
      this.onLost?.()
      await this.#shut()
    }
  }

  #welcome(socket: Socket): void {
    const listening = new Map<string, Listening>()
    this.#guests.set(socket, listening)
    socket.on('error', () => {})
    socket.once('close', () => {
      this.#guests.delete(socket)
      for (const { stop } of listening.values()) stop().catch(() => {})
    })
    receive<Request>(socket, (request) => void this.#serve(socket, listening, request))
    if (this.#db !== undefined) this.#greet(socket)
  }

  #greet(socket: Socket): void {
    send(socket, { kind: 'hello', protocol: PROTOCOL, pid: process.pid })
  }

  async #serve(socket: Socket, listening: Map<string, Listening>, request: Request): Promise<void> {
    const { id } = request
    const reply = (message: Reply): void => {
      if (!socket.destroyed) send(socket, message)
    }
    if (this.over) return reply({ kind: 'refused', id })
    try {
      let rows: Rows = []
      if (request.kind === 'run') {
        rows = await this.#alone(async () => {
          // Nobody waits for it any more.
          if (socket.destroyed) throw new NotBegun()
          return this.#execute(request.text, request.values)
        })
      } else if (request.kind === 'listen') {
        await this.#subscribe(socket, listening, request.channel, reply)
      } else {
        await listening.get(request.channel)?.stop()
        listening.delete(request.channel)
      }
      reply({ kind: 'done', id, rows })
    } catch (error) {
      reply({ kind: 'failed', id, error: pack(error) })
    }
  }

  async #subscribe(
    socket: Socket,
    listening: Map<string, Listening>,
    channel: string,
    reply: (message: Reply) => void,
  ): Promise<void> {
    if (listening.has(channel)) return
    const stop = await this.listen(channel, (payload) => reply({ kind: 'notify', channel, payload }))
    if (socket.destroyed) await stop()
    else listening.set(channel, { stop })
  }
}
