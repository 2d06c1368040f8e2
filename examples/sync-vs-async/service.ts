/** A service in a process of its own that has its answer after so many ms: a mail provider, a bank, a slow query. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { argument, serve } from './part.ts'

const { ms } = argument<{ ms: number }>()
const server = createServer((_req, res) => {
  setTimeout(() => res.end('done'), ms)
})

serve({
  listen: () =>
    new Promise<string>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
    }),
})
