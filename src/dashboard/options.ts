import type { IncomingMessage } from 'node:http'
import { checkBoolean, checkFunction, checkNumber, checkObject } from '../model/check.ts'
import { AfterspanError } from '../model/errors.ts'

/** Options of `dashboard`. */
export interface DashboardOptions<R extends IncomingMessage = IncomingMessage> {
  /**
   * Who may see the page, asked at each request: `true`, and nothing else, lets it through. Without it the page answers only on
   * loopback, and not where `NODE_ENV` is `production`.
   */
  authorize?: (req: R) => boolean | Promise<boolean>
  /** Whether people who see the page may pause, resume and drain tasks, cancel those that wait and retry those that failed. Default false. */
  actions?: boolean
  /** Whether payloads of waiting tasks are shown. Default false. */
  payloads?: boolean
  /** Where a trace is opened, with `{traceId}` in its place: `http://jaeger:16686/trace/{traceId}`. */
  traceUrl?: string
  /** The names under which the app is reached, as in the header `Host`, with a port or without. Default: every name, where `authorize` is given. */
  allowedHosts?: readonly string[]
  /** How many open pages are kept up to date at once: 1 to 10,000. Default 100. */
  maxStreams?: number
}

/** The options of `dashboard`, checked and complete. */
export interface DashboardSettings {
  readonly authorize: ((req: IncomingMessage) => unknown) | undefined
  readonly actions: boolean
  readonly payloads: boolean
  readonly traceUrl: string | undefined
  /** In lower case. */
  readonly allowedHosts: readonly string[] | undefined
  readonly maxStreams: number
}

const KNOWN = [
  'authorize',
  'actions',
  'payloads',
  'traceUrl',
  'allowedHosts',
  'maxStreams',
] satisfies (keyof DashboardOptions)[]

/** @throws AfterspanError ERR_AFTERSPAN_OPTION. */
export function resolveDashboard<R extends IncomingMessage>(
  options: DashboardOptions<R> | undefined,
): DashboardSettings {
  const given = checkObject('options', options, KNOWN)
  return {
    authorize: checkFunction('authorize', given.authorize) as DashboardSettings['authorize'],
    actions: checkBoolean('actions', given.actions) ?? false,
    payloads: checkBoolean('payloads', given.payloads) ?? false,
    traceUrl: checkTraceUrl(given.traceUrl),
    allowedHosts: checkHosts(given.allowedHosts),
    maxStreams: checkNumber('maxStreams', given.maxStreams, { min: 1, max: 10_000, whole: true }) ?? 100,
  }
}

function checkTraceUrl(url: unknown): string | undefined {
  if (url === undefined) return undefined
  // It becomes a link: no javascript:, and nothing that is no address.
  if (typeof url === 'string' && url.includes('{traceId}') && /^https?:\/\//i.test(url) && URL.canParse(url)) return url
  throw new AfterspanError(
    'ERR_AFTERSPAN_OPTION',
    'Expected `traceUrl` to be an http or https address with {traceId} in it, such as http://jaeger:16686/trace/{traceId}.',
  )
}

function checkHosts(hosts: unknown): readonly string[] | undefined {
  if (hosts === undefined) return undefined
  const isHost = (host: unknown) =>
    typeof host === 'string' && /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.test(host)
  if (Array.isArray(hosts) && hosts.length > 0 && hosts.every(isHost))
    return hosts.map((host: string) => host.toLowerCase())
  throw new AfterspanError(
    'ERR_AFTERSPAN_OPTION',
    "Expected `allowedHosts` to be an array of host names, with a port or without, such as ['admin.example.com', 'localhost:3000'].",
  )
}
