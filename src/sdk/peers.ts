import { createRequire } from 'node:module'
import { AfterspanError } from '../model/errors.ts'

const require = createRequire(import.meta.url)

/** Everything that `afterspan/sdk` and `afterspan/register` use; all are optional peers of the package. */
export const PEERS = [
  '@opentelemetry/sdk-node',
  '@opentelemetry/exporter-trace-otlp-http',
  '@opentelemetry/exporter-prometheus',
  '@opentelemetry/instrumentation',
  '@opentelemetry/instrumentation-http',
  '@opentelemetry/instrumentation-express',
] as const

export type Peer = (typeof PEERS)[number]

/**
 * Loads a peer dependency. `require` and not `import`, so that the set-up is synchronous: `--require` and a plain call at
 * the top of a CommonJS file work too, and nothing of the app can load before the instrumentation is in place.
 *
 * @throws AfterspanError `ERR_AFTERSPAN_MISSING_PEER`, naming every peer that is missing and the command that installs them.
 */
export function loadPeer(name: Peer): unknown {
  try {
    return require(name)
  } catch (error) {
    if (!isMissing(error, name)) throw error
    throw missingPeers(error)
  }
}

/** Loads a package that the set-up uses where it is installed; `undefined` where it is not. */
export function loadIfInstalled(name: string): unknown {
  try {
    return require(name)
  } catch (error) {
    if (isMissing(error, name)) return undefined
    throw error
  }
}

/**
 * Loads a package that `@opentelemetry/sdk-node` depends on, in the copy that it uses itself: two copies of the SDK give
 * instruments that export nothing, and with pnpm the package is not visible from here at all.
 */
export function loadFromSdk(name: string): unknown {
  loadPeer('@opentelemetry/sdk-node')
  return createRequire(require.resolve('@opentelemetry/sdk-node'))(name)
}

/** `require.resolve` for a file of a peer or of one of its dependencies, `undefined` when there is none. */
export function resolveFrom(peer: Peer, specifier: string): string | undefined {
  try {
    return createRequire(require.resolve(peer)).resolve(specifier)
  } catch {
    return undefined
  }
}

function missingPeers(cause: unknown): AfterspanError {
  const missing = PEERS.filter((name) => {
    try {
      require.resolve(name)
      return false
    } catch (error) {
      return isMissing(error, name)
    }
  })
  const command = `npm install ${missing.join(' ')}`
  const are = missing.length === 1 ? 'is' : 'are'
  return new AfterspanError(
    'ERR_AFTERSPAN_MISSING_PEER',
    `afterspan/sdk and afterspan/register need packages that ${are} not installed. Run: ${command}`,
    { cause },
  )
}

function isMissing(error: unknown, name: string): boolean {
  if (!(error instanceof Error) || (error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') return false
  return error.message.startsWith(`Cannot find module '${name}'`)
}
