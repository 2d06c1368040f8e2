import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { type Backend, until } from './backends.ts'

export const LOOPBACK = '127.0.0.1'
const READY_WITHIN = 30_000
const STOPPED_WITHIN = 15_000

/** Below what systems give to outgoing connections, so that a port is still free when its server starts again. */
export async function lastingPort(): Promise<number> {
  while (true) {
    const port = 15_000 + Math.floor(Math.random() * 15_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, LOOPBACK, () => resolve(true))
    })
    if (!free) continue
    await once(server.close(), 'close')
    return port
  }
}

/** What makes one kind of server different from the others. */
export interface Kind {
  readonly name: string
  readonly url: string
  readonly port: number
  readonly directory: string
  /** Ends it in order, but without a wait for its clients. */
  readonly stopSignal: NodeJS.Signals
  launch(): Backend
  /** Throws while it does not answer. */
  ask(): Promise<unknown>
  /** What a killed one leaves behind outside its directory. */
  tidy?(): void
}

const undisposed = new Set<RealServer>()
process.on('exit', () => {
  for (const server of undisposed) {
    try {
      server.removeData()
    } catch {
      // A child of the killed one still writes: not worth another exit code.
    }
  }
})

/** A real server on a port and a data directory of its own, which are the same ones whenever it starts again. */
export class RealServer implements AsyncDisposable {
  readonly host = LOOPBACK
  readonly url: string
  readonly port: number
  readonly directory: string
  readonly #kind: Kind
  #backend: Backend | undefined
  #pid = 0

  constructor(kind: Kind) {
    this.#kind = kind
    this.url = kind.url
    this.port = kind.port
    this.directory = kind.directory
    undisposed.add(this)
  }

  /** The process, or the last one while it is stopped. */
  get pid(): number {
    return this.#pid
  }

  /** The last it wrote to its log. */
  get output(): string {
    return this.#backend?.output ?? ''
  }

  /** Returns when it answers. */
  async start(): Promise<void> {
    if (this.#runs()) return
    const { name } = this.#kind
    const backend = this.#kind.launch()
    this.#backend = backend
    this.#pid = backend.child.pid!
    try {
      await until(`${name} to answer`, READY_WITHIN, async () => {
        const answered = await this.#kind.ask().then(
          () => true,
          () => undefined,
        )
        // Asked afterwards, as the answer can be that of someone else at this port.
        if (!this.#runs()) throw new Error(`${name} ended by itself:\n${backend.output}`)
        return answered
      })
    } catch (error) {
      await this.kill()
      throw error
    }
  }

  /** Ends it in order: its clients are cut off, and its data is kept. */
  async stop(): Promise<void> {
    await this.#end(() => {
      const { child } = this.#backend!
      child.kill(this.#kind.stopSignal)
      return setTimeout(() => child.kill('SIGKILL'), STOPPED_WITHIN)
    })
  }

  /** SIGKILL to it and to its children: nobody says goodbye to anyone. */
  async kill(): Promise<void> {
    await this.#end(() => {
      const { child } = this.#backend!
      // So that it starts no child that is not in the list, and tells none of the others why they end.
      child.kill('SIGSTOP')
      for (const pid of [...childrenOf(child.pid!), child.pid!]) process.kill(pid, 'SIGKILL')
      return undefined
    })
  }

  /** Kills it and removes its data. */
  async dispose(): Promise<void> {
    await this.kill()
    this.removeData()
    undisposed.delete(this)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }

  /** Only for a server that has ended. */
  removeData(): void {
    this.#kind.tidy?.()
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  #runs(): boolean {
    const child = this.#backend?.child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  async #end(signal: () => NodeJS.Timeout | undefined): Promise<void> {
    if (!this.#runs()) return
    // Not "exit": children have its output too, so it is closed when the last of them is gone.
    const closed = once(this.#backend!.child, 'close')
    const late = signal()
    await closed
    clearTimeout(late)
  }
}

function childrenOf(pid: number): number[] {
  const list = `/proc/${pid}/task/${pid}/children`
  // Without Linux' /proc they end by themselves when they notice.
  return existsSync(list) ? readFileSync(list, 'utf8').split(' ').filter(Boolean).map(Number) : []
}

/** A server of this kind that answers. */
export async function started(kind: Kind): Promise<RealServer> {
  const server = new RealServer(kind)
  try {
    await server.start()
    return server
  } catch (error) {
    await server.dispose()
    throw error
  }
}
