import { createRequire, register } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Notice } from './notice.ts'
import { resolveFrom } from './peers.ts'

/** The parts of import-in-the-middle 3 that are used here; `lib/register.js` is where its generated modules report to. */
interface SyncHooks {
  supportsSyncHooks(): boolean
  register(): void
}
type Listener = (name: string, namespace: unknown, specifier: string, format?: string) => void
interface Registry {
  readonly importHooks: Listener[]
  readonly toHook: Parameters<Listener>[]
  readonly specifiers: Map<string, string>
}

let registered = false

/**
 * Makes `import` visible to instrumentations: without it an app of ES modules has no `http.route` and a router no name.
 *
 * Every instrumentation brings its own dependency on import-in-the-middle. npm gives them one copy as a rule; where there
 * are several, one is registered, for two in a chain hide modules from each other, and it passes on what it sees.
 */
export function registerImportHook(notice: Notice): void {
  if (registered) return
  registered = true
  const [main, ...others] = copies()
  if (main === undefined) return
  const require = createRequire(join(main, 'package.json'))
  const sync = attempt(() => require('./register-hooks.mjs') as SyncHooks)
  // Hooks in the same thread need a Node of at least 22.22.3, 24.11.1 or 25.1; `module.register` is deprecated from 26 on.
  if (sync?.supportsSyncHooks() === true) sync.register()
  else if (preloadedByRequire()) {
    notice(
      `with --require, Node ${process.versions.node} cannot instrument ES modules: an app of ES modules gets no http.route. ` +
        'Use node --import afterspan/register.',
    )
  } else register(pathToFileURL(join(main, 'hook.mjs')))
  for (const other of others) passOn(require, createRequire(join(other, 'package.json')))
}

/** The directories of the copies that instrumentations load, the one that most of them share first. */
function copies(): string[] {
  const found = new Set<string>()
  for (const peer of [
    '@opentelemetry/instrumentation',
    '@opentelemetry/instrumentation-http',
    '@opentelemetry/instrumentation-express',
  ] as const) {
    const base = resolveFrom(peer, '@opentelemetry/instrumentation')
    if (base === undefined) continue
    const entry = attempt(() => createRequire(base).resolve('import-in-the-middle'))
    if (entry !== undefined) found.add(dirname(entry))
  }
  return [...found]
}

/** `module.register` starts a thread that preloads what `--require` names, and there `require` of an ES module fails. */
function preloadedByRequire(): boolean {
  const options = `${process.execArgv.join(' ')} ${process.env.NODE_OPTIONS ?? ''}`
  return /(?:^|\s)(?:-r|--require)[\s=]\S*afterspan/.test(options)
}

function passOn(from: NodeJS.Require, to: NodeJS.Require): void {
  const source = attempt(() => from('./index.js') as { addHook(listener: Listener): void })
  const names = attempt(() => from('./lib/register.js') as Registry)
  const target = attempt(() => to('./lib/register.js') as Registry)
  if (source === undefined || !Array.isArray(target?.importHooks) || !Array.isArray(target.toHook)) return
  source.addHook((...details) => {
    const specifier = names?.specifiers.get(details[0])
    if (specifier !== undefined) target.specifiers.set(details[0], specifier)
    target.toHook.push(details)
    for (const listener of target.importHooks) listener(...details)
  })
}

function attempt<T>(load: () => T): T | undefined {
  try {
    return load()
  } catch {
    return undefined
  }
}
