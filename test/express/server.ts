import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Express } from 'express'

/** An app on a free loopback port. */
export interface TestServer {
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

export async function listen(app: Express | http.RequestListener): Promise<TestServer> {
  const server = http.createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
