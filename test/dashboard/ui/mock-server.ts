import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Config, Now, Page, Problem, TaskDetail } from '../../../src/dashboard/protocol.ts'
import * as data from './mock-data.ts'
import { HOSTILE_TRACE, hostileDetail, hostileNow, hostileTrace } from './mock-hostile.ts'
import { HUGE_TRACE, hugeTrace, receiptTrace, traceRows } from './mock-traces.ts'

const BUILT = new URL('../../../dist/dashboard/ui/', import.meta.url)

/** As strict as the dashboard's own: a page that needs more fails its tests. */
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const TYPES = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
])

export type State = 'failing' | 'healthy' | 'empty' | 'huge' | 'hostile'

const NOWS: Record<State, (at: number) => Now> = {
  failing: (at) => data.now(at),
  healthy: data.healthy,
  empty: data.empty,
  huge: data.huge,
  hostile: hostileNow,
}

/** A server that speaks the dashboard's protocol and says what a test wants. */
export class MockServer {
  state: State = 'failing'
  config: Config = {
    version: '0.1.0',
    service: 'shop',
    actions: true,
    csrf: 'csrf-token',
    traceUrl: 'http://localhost:16686/trace/{traceId}',
    payloads: false,
    profiler: true,
  }
  /** What is answered in place of any api answer. */
  problem: (Problem & { status: number }) | null = null
  /** No answer at all: connections are cut. */
  dead = false
  /** Whether streams are given: a server gives only so many. */
  streaming = true
  /** Changes what `state` gives. */
  change: (now: Now) => Now = (now) => now
  /** Method and path of all that was asked, and what a POST had for `x-afterspan-csrf`. */
  readonly asked: string[] = []
  readonly posted: { path: string; csrf: string | undefined }[] = []
  readonly #server: Server
  readonly #streams = new Set<ServerResponse>()
  readonly #timer: ReturnType<typeof setInterval>

  readonly #mount: string

  private constructor(mount: string) {
    this.#mount = mount
    this.#server = createServer((request, response) => this.#answer(request, response))
    this.#timer = setInterval(() => this.push(), 1_000)
  }

  /** @param mount The path below which the page is served, with a slash at both ends. */
  static async start({ port = 0, mount = '/tasks/' } = {}): Promise<MockServer> {
    const server = new MockServer(mount)
    await new Promise<void>((resolve) => server.#server.listen(port, '127.0.0.1', resolve))
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${this.#mount}`
  }

  get streams(): number {
    return this.#streams.size
  }

  now(): Now {
    return this.change(NOWS[this.state](Date.now()))
  }

  push(event = 'now'): void {
    for (const stream of this.#streams)
      stream.write(`event: ${event}\ndata: ${JSON.stringify(event === 'now' ? this.now() : {})}\n\n`)
  }

  /** Ends all connections, as a process does that dies. */
  cut(): void {
    this.#server.closeAllConnections()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(request: IncomingMessage, response: ServerResponse): ServerResponse {
    const url = new URL(request.url ?? '/', 'http://x')
    this.asked.push(`${request.method} ${url.pathname}${url.search}`)
    response.setHeader('content-security-policy', CSP)
    response.setHeader('x-content-type-options', 'nosniff')
    if (this.dead) {
      request.socket.destroy()
      return response
    }
    if (`${url.pathname}/` === this.#mount) return response.writeHead(308, { location: this.#mount }).end()
    if (!url.pathname.startsWith(this.#mount)) return response.writeHead(404).end()
    const path = url.pathname.slice(this.#mount.length)
    if (!path.startsWith('api/')) return this.#file(path || 'index.html', response)
    if (this.problem) {
      const { status, ...problem } = this.problem
      return json(response, problem, status)
    }
    if (request.method === 'POST') {
      this.posted.push({ path, csrf: request.headers['x-afterspan-csrf'] as string | undefined })
      const allowed = this.config.actions && request.headers['x-afterspan-csrf'] === this.config.csrf
      if (allowed) return response.writeHead(204).end()
      return json(response, { code: 'ERR', message: 'Actions are off.' }, 403)
    }
    return this.#api(path.slice('api/'.length).split('/').map(decodeURIComponent), url.searchParams, response)
  }

  #api(path: readonly string[], query: URLSearchParams, response: ServerResponse): ServerResponse {
    const at = Date.now()
    const [what, name = '', part] = path
    if (what === 'events') {
      return this.streaming ? this.#stream(response) : json(response, { code: 'ERR', message: 'Too many pages.' }, 503)
    }
    if (what === 'now') return json(response, this.now())
    if (what === 'undeclared') return json(response, this.state === 'empty' ? [] : data.undeclared())
    if (what === 'telemetry') return json(response, data.telemetry())
    if (what === 'traces') return this.#traces(name, query, response)
    const row = this.now().tasks.find((task) => task.name.toWellFormed() === name)
    if (what !== 'tasks' || row === undefined) {
      return json(response, { code: 'ERR_NOT_FOUND', message: `No task is called \`${name}\`.` }, 404)
    }
    if (part === 'waiting') return json(response, page(data.waiting(name, row.waiting, at), query, 1_000))
    if (part === 'profile') return json(response, data.profile(name))
    const range = Number(query.get('range') ?? 900)
    const detail: TaskDetail = this.state === 'hostile' ? hostileDetail(name, at) : data.taskDetail(row, range, at)
    return json(response, detail)
  }

  #traces(traceId: string, query: URLSearchParams, response: ServerResponse): ServerResponse {
    const at = Date.now()
    if (traceId === HUGE_TRACE) return json(response, hugeTrace(at))
    if (traceId === HOSTILE_TRACE) return json(response, hostileTrace(at))
    const rows = this.state === 'empty' ? [] : traceRows(at)
    if (traceId !== '') {
      if (rows.some((row) => row.traceId === traceId)) return json(response, receiptTrace(at))
      return json(response, { code: 'ERR_NOT_FOUND', message: 'This trace is not kept, or never was.' }, 404)
    }
    const wanted = (field: string, matches: (value: string) => boolean) =>
      query.get(field) === null || matches(query.get(field)!)
    const found = rows.filter(
      (row) =>
        wanted('trace', (value) => row.traceId.startsWith(value)) &&
        wanted('task', (value) => row.tasks.includes(value)) &&
        wanted('route', (value) => row.route === value) &&
        wanted('error', () => row.failed) &&
        wanted('failed', () => row.failed),
    )
    return json(response, page(found, query, 20))
  }

  #stream(response: ServerResponse): ServerResponse {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write(`event: now\ndata: ${JSON.stringify(this.now())}\n\n`)
    this.#streams.add(response)
    return response.on('close', () => this.#streams.delete(response))
  }

  #file(path: string, response: ServerResponse): ServerResponse {
    let content: Buffer | string
    try {
      content = readFileSync(fileURLToPath(new URL(path, BUILT)))
    } catch {
      return response.writeHead(404).end()
    }
    if (path === 'index.html') {
      const config = JSON.stringify(this.config).replaceAll('<', '\\u003c')
      content = content.toString().replace('{"config":null}', () => config)
    }
    return response
      .writeHead(200, { 'content-type': TYPES.get(extname(path)) ?? 'application/octet-stream' })
      .end(content)
  }
}

function page<T>(all: readonly T[], query: URLSearchParams, size: number): Page<T> {
  const from = Number(query.get('after') ?? 0)
  const next = from + size < all.length ? String(from + size) : null
  return { items: all.slice(from, from + size), next, total: all.length }
}

function json(response: ServerResponse, body: unknown, status = 200): ServerResponse {
  return response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

// `node test/dashboard/ui/mock-server.ts [state]` to look at the page while it is made.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await MockServer.start({ port: 8_080 })
  server.state = (process.argv[2] as State | undefined) ?? 'failing'
  console.log(server.url)
}
