/** A collector that counts the spans it gets over OTLP/HTTP in JSON, and answers after a while, or never. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { argument, serve } from './child.ts'

/** `latency` in ms; none: it takes the request and never answers. */
const { latency } = argument<{ latency?: number }>()
/** Once in each span of OTLP's JSON. */
const MARK = Buffer.from('"endTimeUnixNano"')
let spans = 0

const server = createServer((req, res) => {
  const chunks: Buffer[] = []
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () => {
    const body = Buffer.concat(chunks)
    for (let at = body.indexOf(MARK); at >= 0; at = body.indexOf(MARK, at + MARK.length)) spans++
    if (latency === undefined) return
    setTimeout(() => res.writeHead(200, { 'content-type': 'application/json' }).end('{}'), latency)
  })
  req.on('error', () => {})
})

serve({
  listen: () =>
    new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`)
      })
    }),
  spans: () => spans,
})
