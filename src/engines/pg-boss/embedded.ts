import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Db } from 'pg-boss'
import { AfterspanError } from '../../model/errors.ts'
import { connectGuest, StatementLostError } from './embedded-guest.ts'
import { Owner } from './embedded-owner.ts'
import { type Place, placeOf, takeLock } from './embedded-place.ts'
import { type Link, NotBegun } from './embedded-wire.ts'

export { StatementLostError }

// The election
//
// PGlite is PostgreSQL in one process. Two processes that open one directory destroy it, so at most one may be its owner;
// the others are guests, which send their statements to the owner over a socket.
//
// 1. The owner is who has the lock of `takeLock`: a lock of the kernel on a file in the directory. It ends with its process,
//    however that ends, so none is ever stale, and no process has to judge whether another one is alive.
// 2. Whoever needs the database connects to the last known socket. If nobody listens there, it tries the lock. If that is
//    taken, the owner has not begun to listen yet or is about to end, and it starts over after a short while. The while is
//    random, as two that try at the same instant can keep each other from the lock.
// 3. Who gets the lock looks once more whether somebody listens. An owner can lose its lock without noticing: by POSIX, a
//    process loses its locks on a file when it closes any descriptor of that file, for example after copying the
//    directory. That owner still listens, and the one who got the lock gives it back and becomes its guest.
// 4. Taking over happens under the lock from the first step (removing the dead owner's socket) to the last, and the owner
//    that closes gives the lock back last, after it has stopped to listen and PGlite has closed its files. So one that
//    takes over never meets another that does, nor one that is still at it.
//
// What becomes of a statement
//
// A process sends one statement at a time; the others wait in its own memory. When the owner ends, at most that one has an
// unknown outcome and fails with a StatementLostError. Those that wait go to the next owner, which may be this process. An
// owner that closes answers what it has received, and refuses what comes after; what it refused goes to the next owner too.

/** How long the lock may be taken while nobody listens, in ms: an owner that was stopped between the two, or a broken one. */
const LIMBO = 30_000
/** Between two attempts to find or become the owner, in ms; half of it is random. */
const PAUSE = 20
/** Between two attempts of a process that only listens for notifications, in ms. */
const RELISTEN = 1_000

/** A database that the processes of one machine share. */
export interface EmbeddedDatabase {
  /** For `new PgBoss({ db, backend: 'pglite' })`. */
  readonly db: Required<Pick<Db, 'executeSql' | 'listen'>>
  /** Whether this process has the directory open, is the guest of one that has, or has not needed it yet. */
  readonly role: 'owner' | 'guest' | 'none'
  /** The id of the process that has the directory open, as far as this one knows. */
  readonly ownerPid: number | undefined
  /** Waits for the statements that were given, and leaves; an owner lets another process take over. */
  close(): Promise<void>
}

interface Listener {
  readonly channel: string
  readonly onNotification: (payload: string) => void
  readonly onReconnect: () => void
  stop: () => Promise<void>
}

/**
 * A PostgreSQL without a server, in a directory that several processes of one machine may use at once: the first to need it
 * opens it and serves the others, and when it ends, another one does. It is there after a process is killed; it may not be
 * after the machine loses power, since PGlite does not wait for the disk.
 *
 * Statements fail with PostgreSQL's errors, with StatementLostError (ERR_AFTERSPAN_ENGINE_TIMEOUT) when the owner ended
 * while it had the statement, and with ERR_AFTERSPAN_ENGINE_REFUSED when it was not begun: the directory cannot be opened
 * or locked, or its owner does not answer.
 *
 * @param directory On a local disk. Made if it is not there, readable by this user alone.
 * @throws AfterspanError ERR_AFTERSPAN_MISSING_PEER without @electric-sql/pglite, ERR_AFTERSPAN_ENGINE_REFUSED when the
 * directory cannot be made.
 */
export function openEmbedded(directory: string): EmbeddedDatabase {
  const require = createRequire(import.meta.url)
  try {
    require.resolve('@electric-sql/pglite')
  } catch (cause) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_MISSING_PEER',
      'afterspan/pg-boss needs a package that is not installed. Run: npm install @electric-sql/pglite',
      { cause },
    )
  }
  const path = resolve(directory)
  if (existsSync(join(path, 'PG_VERSION'))) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_OPTION',
      `${directory} is a database itself. Give an empty directory, or move its content to ${join(path, 'afterspan/data')}.`,
    )
  }
  try {
    return new Embedded(placeOf(path))
  } catch (cause) {
    throw new AfterspanError('ERR_AFTERSPAN_ENGINE_REFUSED', `${directory} cannot be used: ${cause}`, { cause })
  }
}

class Embedded implements EmbeddedDatabase {
  readonly db = {
    executeSql: async (text: string, values?: unknown[]) => ({
      rows: await this.#inTurn(() => this.#send((link) => link.run(text, values))),
    }),
    listen: (channel: string, onNotification: (payload: string) => void, onReconnect: () => void) =>
      this.#listen({ channel, onNotification, onReconnect, stop: async () => {} }),
  }

  readonly #place: Place
  readonly #listeners = new Set<Listener>()
  #link: Link | undefined
  #tail: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(place: Place) {
    this.#place = place
  }

  get role(): 'owner' | 'guest' | 'none' {
    return this.#link === undefined || this.#link.over ? 'none' : this.#link.role
  }

  get ownerPid(): number | undefined {
    return this.role === 'none' ? undefined : this.#link?.pid
  }

  close(): Promise<void> {
    this.#closing ??= this.#tail.then(() => this.#link?.close())
    return this.#closing
  }

  /** One at a time: see above, what becomes of a statement. */
  #inTurn<T>(job: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) {
      const message = `${this.#place.directory} was closed by this process.`
      return Promise.reject(new AfterspanError('ERR_AFTERSPAN_ENGINE_REFUSED', message))
    }
    const result = this.#tail.then(job)
    this.#tail = result.catch(() => {})
    return result
  }

  async #send<T>(job: (link: Link) => Promise<T>): Promise<T> {
    for (;;) {
      const link = await this.#attached()
      try {
        return await job(link)
      } catch (error) {
        if (!(error instanceof NotBegun)) throw error
      }
    }
  }

  async #attached(): Promise<Link> {
    for (;;) {
      if (this.#link !== undefined && !this.#link.over) return this.#link
      const link = await this.#elect()
      this.#link = link
      link.onLost = () => this.#relisten()
      if (await this.#subscribeAll(link)) return link
    }
  }

  async #elect(): Promise<Link> {
    const deadline = performance.now() + LIMBO
    for (;;) {
      const guest = await connectGuest(this.#place)
      if (guest !== undefined) return guest
      const release = await takeLock(this.#place)
      if (release !== undefined) return this.#takeOver(release)
      if (performance.now() > deadline) {
        throw new AfterspanError(
          'ERR_AFTERSPAN_ENGINE_REFUSED',
          `A process has ${this.#place.directory} locked and does not serve it. See which processes use it.`,
        )
      }
      await delay(PAUSE / 2 + (Math.random() * PAUSE) / 2)
    }
  }

  async #takeOver(release: () => void): Promise<Link> {
    let guest: Link | undefined
    try {
      guest = await connectGuest(this.#place)
    } catch (error) {
      release()
      throw error
    }
    if (guest === undefined) return Owner.open(this.#place, release)
    release()
    return guest
  }

  async #listen(listener: Listener): Promise<{ close(): Promise<void> }> {
    await this.#inTurn(async () => {
      // Listening twice does no harm, so a lost answer is no reason to give up.
      for (;;) {
        const link = await this.#attached()
        if (await this.#subscribe(link, listener)) break
      }
      this.#listeners.add(listener)
    })
    listener.onReconnect()
    return {
      close: async () => {
        this.#listeners.delete(listener)
        if (this.#closing === undefined) await this.#inTurn(() => listener.stop().catch(() => {}))
      },
    }
  }

  async #subscribe(link: Link, listener: Listener): Promise<boolean> {
    try {
      listener.stop = await link.listen(listener.channel, listener.onNotification)
      return true
    } catch (error) {
      if (error instanceof NotBegun || error instanceof StatementLostError) return false
      throw error
    }
  }

  /** A new owner knows nothing of who listened; what was notified meanwhile is made up for by `onReconnect`. */
  async #subscribeAll(link: Link): Promise<boolean> {
    for (const listener of this.#listeners) {
      if (!(await this.#subscribe(link, listener))) return false
    }
    for (const listener of this.#listeners) listener.onReconnect()
    return true
  }

  /** Who waits for notifications may have no statement to send that would find the next owner. */
  #relisten(): void {
    if (this.#listeners.size === 0 || this.#closing !== undefined) return
    this.#inTurn(() => this.#attached()).catch(() => setTimeout(() => this.#relisten(), RELISTEN).unref())
  }
}
