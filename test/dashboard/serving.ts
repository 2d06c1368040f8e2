import http, { type IncomingHttpHeaders } from 'node:http'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { Tasks } from 'afterspan'
import type { DashboardOptions } from 'afterspan/dashboard'
import express from 'express'
import { afterEach } from 'vitest'
import { dashboardOf } from '../../src/dashboard/dashboard.ts'
import { listen, type TestServer } from '../express/server.ts'

/** A page as Vite makes it, in small. */
export const PAGE = fileURLToPath(new URL('./fixtures/page/', import.meta.url))

const servers: TestServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly json: () => never
}

export interface Served {
  readonly port: number
  readonly url: string
  /** A request with exactly these headers, below the mount. */
  get(path: string, headers?: Record<string, string>): Promise<Answer>
  post(path: string, headers?: Record<string, string>): Promise<Answer>
  ask(method: string, path: string, headers?: Record<string, string>): Promise<Answer>
}

export const EXPRESSES = {
  'Express 5': express,
  'Express 4': createRequire(import.meta.url)('express4') as typeof express,
}

/** An app with the dashboard at `/tasks`. */
export async function serve(
  tasks: Tasks,
  options?: DashboardOptions,
  { create = express, root = PAGE }: { create?: typeof express; root?: string } = {},
): Promise<Served> {
  const app = create()
  app.use('/tasks', dashboardOf(tasks, options, root))
  return served(app)
}

export async function served(app: Parameters<typeof listen>[0], mount = '/tasks/'): Promise<Served> {
  const server = await listen(app)
  servers.push(server)
  const ask = (method: string, path: string, headers: Record<string, string> = {}) =>
    request(server.port, method, mount + path, headers)
  return {
    port: server.port,
    url: server.url,
    ask,
    get: (path, headers) => ask('GET', path, headers),
    post: (path, headers) => ask('POST', path, headers),
  }
}

export function request(
  port: number,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  host = '127.0.0.1',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = http.request({ host, port, method, path, headers, agent: false }, (res) => {
      const parts: Buffer[] = []
      res.on('data', (part: Buffer) => parts.push(part))
      res.on('end', () => {
        const text = Buffer.concat(parts).toString('utf8')
        const json = () => JSON.parse(text) as never
        resolve({ status: res.statusCode!, headers: res.headers, text, json })
      })
    })
    req.on('error', reject)
    req.end()
  })
}

/** The token that the page has. */
export async function tokenOf({ get }: Served): Promise<string> {
  const { text } = await get('')
  const [, config] = /id="config">(.*)<\/script>/.exec(text)!
  return (JSON.parse(config!) as { csrf: string }).csrf
}
