import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { LOOPBACK, lastingPort } from './real-server.ts'

/** One connection through the proxy. It has no server yet when it came in silence. */
interface Link {
  readonly client: Socket
  server?: Socket
}

/** A network between a client and a server, with the faults of one. */
export class TcpProxy implements AsyncDisposable {
  readonly host = LOOPBACK
  readonly port: number
  readonly #target: { readonly host: string; readonly port: number }
  readonly #links = new Set<Link>()
  #listener: Server | undefined
  #silent = false

  constructor(port: number, target: { readonly host: string; readonly port: number }) {
    this.port = port
    this.#target = target
  }

  /** From now on nothing gets through either way, not even an end, while connections stay open and new ones open. */
  silence(): void {
    this.#silent = true
    for (const { client, server } of this.#links) {
      for (const socket of [client, server]) socket?.unpipe().pause()
    }
  }

  /** Ends the silence: what was sent in it arrives now. */
  resume(): void {
    if (!this.#silent) return
    this.#silent = false
    for (const link of this.#links) this.#join(link)
  }

  /** Breaks all connections and refuses new ones. */
  async cut(): Promise<void> {
    const closed = this.#listener && once(this.#listener.close(), 'close')
    this.#listener = undefined
    for (const link of this.#links) this.#break(link)
    await closed
  }

  /** Ends the cut: new connections are taken, on the same port. */
  async mend(): Promise<void> {
    if (this.#listener !== undefined) return
    const listener = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => this.#take(client))
    this.#listener = listener.listen(this.port, LOOPBACK)
    await once(listener, 'listening')
  }

  async close(): Promise<void> {
    await this.cut()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #take(client: Socket): void {
    const link: Link = { client }
    this.#links.add(link)
    this.#watch(client, link)
    if (!this.#silent) this.#join(link)
  }

  /** Lets a connection flow, and breaks it when one of its ends broke in silence. */
  #join(link: Link): void {
    const { client } = link
    if (client.destroyed || link.server?.destroyed) {
      this.#break(link)
      return
    }
    if (link.server === undefined) {
      link.server = connect({ ...this.#target, allowHalfOpen: true })
      this.#watch(link.server, link)
    }
    client.pipe(link.server)
    link.server.pipe(client)
  }

  #watch(socket: Socket, link: Link): void {
    socket.on('error', () => {
      if (!this.#silent) this.#break(link)
    })
    // Each end closes by itself when it has been told all that the other one sent.
    socket.on('close', () => {
      if (link.client.closed && link.server?.closed !== false) this.#links.delete(link)
    })
  }

  /** With a reset, as an end in good order is what a server does that goes on purpose. */
  #break({ client, server }: Link): void {
    client.resetAndDestroy()
    server?.destroy()
  }
}

/** A proxy on loopback in front of a server, on a port of its own. */
export async function startProxy(target: { readonly port: number; readonly host?: string }): Promise<TcpProxy> {
  const proxy = new TcpProxy(await lastingPort(), { host: target.host ?? LOOPBACK, port: target.port })
  await proxy.mend()
  return proxy
}
