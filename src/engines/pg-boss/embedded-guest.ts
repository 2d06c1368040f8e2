import { createConnection, type Socket } from 'node:net'
import { AfterspanError } from '../../model/errors.ts'
import { type Place, readAddress } from './embedded-place.ts'
import {
  type Link,
  NotBegun,
  PROTOCOL,
  type Reply,
  type Request,
  type Rows,
  receive,
  send,
  unpack,
} from './embedded-wire.ts'

/** An owner may be making the database, or reading a long WAL, before it greets. In ms. */
const PATIENCE = 60_000

/** Nobody listens (any more), or not yet. `EAGAIN` is a full backlog. */
const NOBODY = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EAGAIN']

/**
 * A statement was sent to the process that had the directory open, and that process ended before it answered. Whether the
 * statement was carried out is not known. Send it again if doing it twice is harmless, or after having looked.
 */
export class StatementLostError extends AfterspanError {
  /** Always true: the next statement goes to another owner. */
  readonly retryable = true

  constructor(directory: string, pid: number) {
    super(
      'ERR_AFTERSPAN_ENGINE_TIMEOUT',
      `Process ${pid}, which had ${directory} open, ended before it answered. The statement may or may not have been ` +
        'carried out.',
    )
    this.name = 'StatementLostError'
  }
}

interface Pending {
  readonly resolve: (rows: Rows) => void
  readonly reject: (error: unknown) => void
}

/**
 * Connects to the process that has the directory open; undefined when there is none that listens.
 *
 * @throws AfterspanError ERR_AFTERSPAN_ENGINE_REFUSED when it does not greet within 60 s, or speaks another version.
 */
export async function connectGuest(place: Place): Promise<Guest | undefined> {
  const address = readAddress(place)
  if (address === undefined) return undefined
  const socket = createConnection(address.socket)
  const guest = new Guest(place, socket)
  let timer: NodeJS.Timeout | undefined
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(reject, PATIENCE, new Error(`it did not greet within ${PATIENCE} ms`))
    })
    await Promise.race([guest.greeted, late])
    return guest
  } catch (cause) {
    socket.destroy()
    const { code, message } = cause as NodeJS.ErrnoException
    if (cause instanceof NotBegun || NOBODY.includes(code ?? '')) return undefined
    throw new AfterspanError(
      'ERR_AFTERSPAN_ENGINE_REFUSED',
      `Process ${address.pid} has ${place.directory} open and cannot be talked to: ${message}.`,
      { cause },
    )
  } finally {
    clearTimeout(timer)
  }
}

/** The database in another process. */
export class Guest implements Link {
  readonly role = 'guest'
  pid = 0
  over = false
  onLost: (() => void) | undefined
  readonly greeted: Promise<void>

  readonly #place: Place
  readonly #socket: Socket
  readonly #closed: Promise<void>
  readonly #pending = new Map<number, Pending>()
  readonly #listeners = new Map<string, Set<(payload: string) => void>>()
  #lastId = 0

  constructor(place: Place, socket: Socket) {
    this.#place = place
    this.#socket = socket
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.greeted = promise
    this.#closed = new Promise((closed) => {
      socket.on('error', reject)
      socket.once('close', () => {
        reject(new NotBegun())
        this.#end()
        closed()
      })
    })
    receive<Reply>(socket, (reply) => {
      if (reply.kind !== 'hello') this.#take(reply)
      else if (reply.protocol !== PROTOCOL) reject(new Error('it has another version of afterspan'))
      else {
        this.pid = reply.pid
        resolve()
      }
    })
  }

  run(text: string, values?: unknown[]): Promise<Rows> {
    return this.#ask((id) => ({ kind: 'run', id, text, values }))
  }

  async listen(channel: string, onNotification: (payload: string) => void): Promise<() => Promise<void>> {
    const listeners = this.#listeners.get(channel) ?? new Set()
    this.#listeners.set(channel, listeners.add(onNotification))
    await this.#ask((id) => ({ kind: 'listen', id, channel }))
    return async () => {
      listeners.delete(onNotification)
      if (listeners.size > 0 || this.over) return
      this.#listeners.delete(channel)
      await this.#ask((id) => ({ kind: 'unlisten', id, channel }))
    }
  }

  async close(): Promise<void> {
    this.over = true
    this.onLost = undefined
    if (this.#pending.size === 0) this.#socket.destroy()
    await this.#closed
  }

  async #ask(request: (id: number) => Request): Promise<Rows> {
    if (this.over) throw new NotBegun()
    this.#lastId += 1
    const id = this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<Rows>()
    send(this.#socket, request(id))
    this.#pending.set(id, { resolve, reject })
    return promise
  }

  #take(reply: Exclude<Reply, { kind: 'hello' }>): void {
    if (reply.kind === 'notify') {
      for (const listener of this.#listeners.get(reply.channel) ?? []) listener(reply.payload)
      return
    }
    if (reply.kind === 'bye') {
      this.#leave()
    } else {
      const pending = this.#pending.get(reply.id)
      this.#pending.delete(reply.id)
      if (reply.kind === 'done') pending?.resolve(reply.rows)
      else if (reply.kind === 'failed') pending?.reject(unpack(reply.error))
      else pending?.reject(new NotBegun())
    }
    // The owner waits for its guests, with an answer or a refusal for whatever is still on its way.
    if (this.over && this.#pending.size === 0) this.#socket.destroy()
  }

  #leave(): void {
    if (this.over) return
    this.over = true
    this.onLost?.()
  }

  #end(): void {
    for (const { reject } of this.#pending.values()) reject(new StatementLostError(this.#place.directory, this.pid))
    this.#pending.clear()
    this.#leave()
  }
}
