import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Express } from 'express'

/** Listens until SIGTERM or SIGINT; then `close` lets accepted work finish, and the process ends by itself. */
export async function serve(app: Express, name: string, close: () => Promise<unknown>): Promise<void> {
  const { PORT = '0', HOST = '127.0.0.1' } = process.env
  const server = await new Promise<Server>((resolve, reject) => {
    const listening: Server = app.listen(Number(PORT), HOST, (error) => (error ? reject(error) : resolve(listening)))
  })
  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    const answered = new Promise((resolve) => server.close(resolve))
    await close()
    server.closeIdleConnections()
    const late = setTimeout(() => server.closeAllConnections(), 1_000)
    await answered
    clearTimeout(late)
    if (process.connected) process.disconnect()
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  // Who has started this process, over a channel, is gone.
  process.once('disconnect', stop)
  const url = `http://${HOST}:${(server.address() as AddressInfo).port}`
  console.log(`${name} on ${url}`)
  process.send?.({ url })
}
