import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))
const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url))

export interface ReceivedSpan {
  readonly name: string
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly attributes: Record<string, unknown>
}

type OtlpSpan = Omit<ReceivedSpan, 'attributes'> & { attributes: { key: string; value: object }[] }
type OtlpRequest = { resourceSpans: { scopeSpans: { spans: OtlpSpan[] }[] }[] }

export const SERVER_SPAN = 2

/** A collector that takes OTLP/HTTP as JSON and answers after `delay` ms. */
export class Collector {
  readonly spans: ReceivedSpan[] = []
  /** Request paths, so that a test can tell that no metrics or logs were pushed. */
  readonly paths = new Set<string>()
  readonly #server: Server
  #delay: number

  private constructor(delay: number) {
    this.#delay = delay
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        this.paths.add(request.url ?? '')
        if (request.url === '/v1/traces') this.#read(Buffer.concat(chunks))
        setTimeout(() => response.setHeader('content-type', 'application/json').end('{}'), this.#delay)
      })
    })
  }

  static async start(delay = 0, port = 0): Promise<Collector> {
    const collector = new Collector(delay)
    collector.#server.listen(port, '127.0.0.1')
    await once(collector.#server, 'listening')
    return collector
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`
  }

  serverSpans(): ReceivedSpan[] {
    return this.spans.filter((span) => span.kind === SERVER_SPAN)
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #read(body: Buffer): void {
    const { resourceSpans } = JSON.parse(body.toString()) as OtlpRequest
    for (const { scopeSpans } of resourceSpans) {
      for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
        const attributes = Object.fromEntries(span.attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
        this.spans.push({ ...span, attributes })
      }
    }
  }
}

/** A directory with the fixtures and, under the name that instrumentations look for, the wanted version of Express. */
export function project(express: 'express' | 'express4'): string {
  const directory = `${root}.tmp/register-${express}`
  mkdirSync(`${directory}/node_modules`, { recursive: true })
  cpSync(`${root}node_modules/${express}`, `${directory}/node_modules/express`, { recursive: true, dereference: true })
  cpSync(fixtures, directory, { recursive: true })
  return directory
}

export interface RunOptions {
  readonly env?: Record<string, string>
  /** Node's options; default `--import afterspan/register`. */
  readonly node?: readonly string[]
  readonly execPath?: string
  readonly cwd?: string
}

/** A Node process with `register`. `OTEL_*` variables of this one are not passed on. */
export class App {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>

  constructor(
    file: string,
    { env = {}, node = ['--import', 'afterspan/register'], execPath, cwd = root }: RunOptions = {},
  ) {
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(OTEL|AFTERSPAN|NODE|VITEST)_/.test(name)),
    )
    this.child = fork(file, [], {
      cwd,
      env: { ...inherited, ...env },
      execArgv: [...node],
      silent: true,
      ...(execPath !== undefined && { execPath }),
    })
    this.child.stdout?.on('data', (chunk) => {
      this.stdout += chunk
    })
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += chunk
    })
    this.exited = once(this.child, 'close').then(([code, signal]) => ({ code, signal }))
  }

  async message<T = { port: number }>(): Promise<T> {
    const [message] = await Promise.race([
      once(this.child, 'message'),
      this.exited.then(() => {
        throw new Error(`the app ended:\n${this.stderr}`)
      }),
    ])
    return message as T
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    this.child.kill(signal)
    return this.exited
  }
}

export async function get(port: number, path: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`)
  await response.arrayBuffer()
  return response.status
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
