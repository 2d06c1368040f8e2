import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { DashboardSettings } from './options.ts'
import type { Problem } from './protocol.ts'

/** Why a request is refused. */
export interface Refusal extends Problem {
  readonly status: 400 | 403
}

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/
const LOOPBACK_NAME = /^(localhost|([a-z0-9-]+\.)+localhost|127(\.\d{1,3}){3}|\[::1\])$/
const LOOPBACK_ADDRESS = /^(127(\.\d{1,3}){3}|::1|::ffff:127(\.\d{1,3}){3})$/
/** Set by proxies. They may be forged, but only to one's own disadvantage: with one of them, nobody is on loopback. */
const FORWARDED = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip'] as const

/**
 * Whether the request has come by a name under which the app is to be reached. A page of another site can make its own name point
 * at this address and then read what is answered (DNS rebinding), but the browser goes on to send that name.
 */
export function refuseHost(req: IncomingMessage, { authorize, allowedHosts }: DashboardSettings): Refusal | undefined {
  const host = req.headers.host?.toLowerCase() ?? ''
  const name = HOST.exec(host)?.[1]
  if (name === undefined) return refused(400, 'HOST', 'The header Host is missing, or names no host.')
  if (allowedHosts !== undefined && !allowedHosts.includes(name) && !allowedHosts.includes(host)) {
    return refused(
      403,
      'HOST',
      `Host "${name}" is not among \`allowedHosts\` of dashboard(): add it if this is its own name.`,
    )
  }
  if (authorize !== undefined) return undefined
  if (process.env.NODE_ENV === 'production') {
    return closed('In production (NODE_ENV) the page is closed until it knows who may see it.')
  }
  const direct = FORWARDED.every((header) => req.headers[header] === undefined)
  const { remoteAddress = '' } = req.socket
  if (!LOOPBACK_ADDRESS.test(remoteAddress) || !LOOPBACK_NAME.test(name) || !direct) {
    return closed('The page answers only on this machine itself (localhost) until it knows who may see it.')
  }
  return undefined
}

function closed(why: string): Refusal {
  return refused(
    403,
    'CLOSED',
    `${why} Say so where it is mounted: app.use('/tasks', dashboard(tasks, { authorize: (req) => isAdmin(req) })), where isAdmin is the app's own.`,
  )
}

/**
 * Whether another site has made the request, as far as the browser says so.
 *
 * @param page It asks for the page itself, which another site may link to but not hold in a frame.
 */
export function refuseForeign(req: IncomingMessage, page: boolean): Refusal | undefined {
  const site = req.headers['sec-fetch-site']
  if (site === 'same-origin') return undefined
  const { origin } = req.headers
  if (req.method === 'POST') {
    if (site === undefined && origin !== undefined && isOwn(origin, req)) return undefined
    return refused(
      403,
      'CROSS_SITE',
      'Only the page itself may act: the request is from another site, or does not say where it is from.',
    )
  }
  const linked = page && req.headers['sec-fetch-mode'] === 'navigate' && req.headers['sec-fetch-dest'] === 'document'
  if (site !== undefined && site !== 'none' && !linked) {
    return refused(403, 'CROSS_SITE', 'Another site has made the request.')
  }
  if (origin !== undefined && !linked && !isOwn(origin, req)) {
    return refused(403, 'CROSS_SITE', 'The header Origin names another site.')
  }
  return undefined
}

function isOwn(origin: string, req: IncomingMessage): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host } = new URL(origin)
  const own = req.headers.host?.toLowerCase().replace(protocol === 'https:' ? /:443$/ : /:80$/, '')
  return host === own
}

/** Whether an action carries the token that only the page has. */
export function refuseToken(req: IncomingMessage, token: string): Refusal | undefined {
  const given = req.headers['x-afterspan-csrf']
  const expected = Buffer.from(token)
  const got = Buffer.from(typeof given === 'string' ? given : '')
  if (got.length === expected.length && timingSafeEqual(got, expected)) return undefined
  return refused(
    403,
    'CSRF',
    'The token of the page is missing or not right; it changes when the app is started anew. Load the page again.',
  )
}

export function refused(status: Refusal['status'], code: string, message: string): Refusal {
  return { status, code: `ERR_AFTERSPAN_DASHBOARD_${code}`, message }
}
