import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Problem } from './protocol.ts'

/** Nothing of another host, nothing inline, no frame around it. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const HEADERS = {
  'Content-Security-Policy': POLICY,
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Robots-Tag': 'noindex',
  // In place of what the app may have set for itself.
  'Cache-Control': 'no-store',
} as const

/** To be called before anything is answered. */
export function protect(res: ServerResponse): void {
  for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value)
}

export const JSON_TYPE = 'application/json; charset=utf-8'

export function answerJson(res: ServerResponse, status: number, value: unknown): void {
  send(res, status, JSON_TYPE, JSON.stringify(value))
}

export function answerText(res: ServerResponse, status: number, text: string): void {
  send(res, status, 'text/plain; charset=utf-8', `${text}\n`)
}

/** What is wrong: as JSON for the page's own requests, as text for people. */
export function answerProblem(res: ServerResponse, status: number, { code, message }: Problem, asJson: boolean): void {
  if (asJson) answerJson(res, status, { code, message })
  else answerText(res, status, message)
}

/** Writes the whole answer; Node leaves the body out for HEAD. A client that has gone needs none. */
export function send(res: ServerResponse, status: number, type: string, body: string | Buffer): void {
  if (res.destroyed || res.headersSent) return
  res.statusCode = status
  res.setHeader('Content-Type', type)
  res.setHeader('Content-Length', Buffer.byteLength(body))
  res.end(body)
}

/** Path below the mount, without the first slash, and the rest of the address. */
export function partsOf(req: IncomingMessage): { path: string; query: URLSearchParams } {
  const url = req.url ?? '/'
  const mark = url.indexOf('?')
  const path = mark === -1 ? url : url.slice(0, mark)
  return { path: path.replace(/^\//, ''), query: new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1)) }
}
