import type { Socket } from 'node:net'
import { deserialize, serialize } from 'node:v8'

/** Goes up when a message changes: two processes with different versions of Afterspan must not misread each other. */
export const PROTOCOL = 1

export type Rows = Record<string, unknown>[]

/** What a guest sends. It sends one request, and the next after the reply. */
export type Request =
  | { readonly kind: 'run'; readonly id: number; readonly text: string; readonly values?: unknown[] | undefined }
  | { readonly kind: 'listen' | 'unlisten'; readonly id: number; readonly channel: string }

/** What the owner sends: `refused` promises that it did not begin the request, `bye` that it refuses all from now on. */
export type Reply =
  | { readonly kind: 'hello'; readonly protocol: number; readonly pid: number }
  | { readonly kind: 'done'; readonly id: number; readonly rows: Rows }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PackedError }
  | { readonly kind: 'refused'; readonly id: number }
  | { readonly kind: 'notify'; readonly channel: string; readonly payload: string }
  | { readonly kind: 'bye' }

/** An error as it travels: the fields of PostgreSQL (`code`, `constraint`, `detail` …) are what callers look at. */
export interface PackedError {
  readonly name: string
  readonly message: string
  readonly fields: Readonly<Record<string, string | number>>
}

/** What a link throws when it is certain that the statement was not begun. It never leaves this folder. */
export class NotBegun extends Error {}

/** A way to the database: it is open in this process, or in another one. */
export interface Link {
  readonly role: 'owner' | 'guest'
  /** The process that has the directory open. */
  readonly pid: number
  /** True as soon as it takes no more statements. */
  readonly over: boolean
  /** Called once when it is over without having been closed from here. */
  onLost: (() => void) | undefined
  run(text: string, values?: unknown[]): Promise<Rows>
  /** Gives the function that ends it. */
  listen(channel: string, onNotification: (payload: string) => void): Promise<() => Promise<void>>
  close(): Promise<void>
}

/** v8's format instead of JSON, so that a guest gets the dates, bigints and bytes that the owner gets. */
export function send(socket: Socket, message: Request | Reply): void {
  const body = serialize(message)
  const frame = Buffer.allocUnsafe(4 + body.length)
  frame.writeUInt32BE(body.length, 0)
  body.copy(frame, 4)
  socket.write(frame)
}

/** Calls back with every message that arrives. A message that cannot be read ends the connection. */
export function receive<M>(socket: Socket, onMessage: (message: M) => void): void {
  let chunks: Buffer[] = []
  let size = 0
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    size += chunk.length
    // Joined only when a message can be complete, so that a long one is not copied for each of its chunks.
    while (size >= 4 && size >= 4 + lengthOf(chunks)) {
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      const end = 4 + all.readUInt32BE(0)
      chunks = [all.subarray(end)]
      size -= end
      let message: M
      try {
        message = deserialize(all.subarray(4, end)) as M
      } catch (error) {
        socket.destroy(error as Error)
        return
      }
      onMessage(message)
    }
  })
}

function lengthOf(chunks: Buffer[]): number {
  if (chunks[0]!.length < 4) chunks.splice(0, chunks.length, Buffer.concat(chunks))
  return chunks[0]!.readUInt32BE(0)
}

export function pack(error: unknown): PackedError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), fields: {} }
  const fields: Record<string, string | number> = {}
  for (const [key, value] of Object.entries(error)) {
    if (key !== 'query' && (typeof value === 'string' || typeof value === 'number')) fields[key] = value
  }
  return { name: error.name, message: error.message, fields }
}

export function unpack({ name, message, fields }: PackedError): Error {
  return Object.assign(new Error(message), fields, { name })
}
