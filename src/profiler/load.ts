import { AsyncLocalStorage, executionAsyncResource } from 'node:async_hooks'
import { createRequire } from 'node:module'
import { AfterspanError } from '../model/errors.ts'

type Pprof = typeof import('@datadog/pprof')
let loaded: Pprof | undefined

/**
 * `@datadog/pprof` as it is installed; loaded when it is first needed.
 *
 * @throws AfterspanError ERR_AFTERSPAN_MISSING_PEER; ERR_AFTERSPAN_PROFILER where this Node cannot tell tasks apart.
 */
export function loadPprof(): Pprof {
  if (loaded === undefined) {
    try {
      loaded = createRequire(import.meta.url)('@datadog/pprof') as Pprof
    } catch (cause) {
      throw new AfterspanError(
        'ERR_AFTERSPAN_MISSING_PEER',
        'afterspan/profiler, and `profile` of a task, need a package that is not installed. Run: npm install @datadog/pprof',
        { cause },
      )
    }
  }
  if (!labelsPossible()) throw notPossible()
  return loaded
}

let possible: boolean | undefined

/**
 * Whether V8 itself carries the context of an AsyncLocalStorage, where the sampler can read it. Without that, Node keeps it
 * at the asynchronous resource that runs.
 */
export function labelsPossible(): boolean {
  if (possible === undefined) {
    const probe = new AsyncLocalStorage<object>()
    const store = {}
    possible = probe.run(store, () => {
      const resource = executionAsyncResource() as Record<PropertyKey, unknown>
      return !Reflect.ownKeys(resource).some((key) => resource[key] === store)
    })
    probe.disable()
  }
  return possible
}

export function notPossible(): AfterspanError {
  const { node } = process.versions
  const remedy =
    Number.parseInt(node, 10) >= 24
      ? 'Something has turned it off: look for --no-async-context-frame on the command line and in NODE_OPTIONS.'
      : 'Set NODE_OPTIONS=--experimental-async-context-frame, or use Node 24.'
  return new AfterspanError(
    'ERR_AFTERSPAN_PROFILER',
    `The profiler needs Node's AsyncContextFrame to tell which task a sample is of, and this Node ${node} runs without it. ${remedy}`,
  )
}
