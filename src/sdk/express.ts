import { loadPeer } from './peers.ts'
import type { Instrumentation } from './sdk-types.ts'

/** A layer of an Express router, as far as it matters here. */
interface Layer {
  name: string
  handle: (...args: unknown[]) => unknown
}

/** A request on which the instrumentation keeps the paths of the layers that it is in. */
interface TracedRequest {
  __ot_middlewares?: string[]
}

/**
 * The Express instrumentation, which gives the SERVER span its `http.route`. Its own span for each middleware, router and
 * handler costs a fifth of the requests per second and buries the work in the waterfall, so they are made only if asked for.
 */
export function expressInstrumentation(layers: boolean): Instrumentation {
  const { ExpressInstrumentation, ExpressLayerType } = loadPeer(
    '@opentelemetry/instrumentation-express',
  ) as typeof import('@opentelemetry/instrumentation-express')
  if (layers) return new ExpressInstrumentation()
  const { MIDDLEWARE, ROUTER, REQUEST_HANDLER } = ExpressLayerType
  const instrumentation = new ExpressInstrumentation({ ignoreLayersType: [MIDDLEWARE, ROUTER, REQUEST_HANDLER] })
  keepMountPaths(instrumentation)
  return instrumentation
}

/**
 * For ignored layers the instrumentation (0.72) keeps the path of a router that passed the request on, and forgets that of
 * a mounted app before it runs: with two routers on `/api` the route becomes `/api/api/:id`, under a mounted app `/:id`.
 * Here the path is known inside the layer and gone after it.
 */
function keepMountPaths(instrumentation: object): void {
  const target = instrumentation as { _applyPatch?: (layer: Layer, path: string | undefined) => void }
  const applyPatch = target._applyPatch
  if (typeof applyPatch !== 'function') return
  const seen = new WeakSet<Layer>()
  target._applyPatch = function (layer, path) {
    if (path !== undefined && !seen.has(layer) && typeof layer.handle === 'function' && layer.handle.length < 4) {
      seen.add(layer)
      if (layer.name === 'router') layer.handle = forgetAfter(layer.handle, 1, path)
      else if (layer.name === 'mounted_app') layer.handle = forgetAfter(layer.handle, 0, path)
    }
    return applyPatch.call(this, layer, path)
  }
}

/** A Proxy, so that what others keep on the function (`stack`, `name`, `length`) stays in reach. */
function forgetAfter(handle: Layer['handle'], stored: 0 | 1, path: string): Layer['handle'] {
  return new Proxy(handle, {
    apply(original, self, args: unknown[]) {
      const paths = (args[0] as TracedRequest | undefined)?.__ot_middlewares
      const next = args[2]
      if (!Array.isArray(paths) || typeof next !== 'function') return Reflect.apply(original, self, args)
      const before = paths.length - stored
      if (stored === 0) paths.push(path)
      const passOn = (...reason: unknown[]) => {
        paths.length = Math.min(paths.length, before)
        return Reflect.apply(next, undefined, reason)
      }
      return Reflect.apply(original, self, [args[0], args[1], passOn])
    },
  })
}
