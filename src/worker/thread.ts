/**
 * What a worker thread of the pool loads. It never throws: what a handler throws is reported, so that the thread lives and
 * the error keeps its name.
 */
import { getHeapStatistics } from 'node:v8'
import { context, propagation, ROOT_CONTEXT } from '@opentelemetry/api'
import { describeError } from '../model/describe-error.ts'
import { AfterspanError } from '../model/errors.ts'
import { ThreadProfile } from '../profiler/thread.ts'
import type { Call, Report, ThrownInThread, WorkerContext } from './protocol.ts'
import { Transfer } from './transfer.ts'

type Handler = (payload: unknown, context: WorkerContext) => unknown

const handlers = new Map<string, Promise<Handler>>()

export default async function run({ module, payload, info, carrier, reply, profile }: Call): Promise<Report> {
  const cpu = process.threadCpuUsage?.()
  const heap = getHeapStatistics().used_heap_size
  let sampling: ThreadProfile | undefined
  const used = () => {
    const spent = cpu && process.threadCpuUsage(cpu)
    const text = sampling && textOf(sampling, info.task, profile!.top)
    return {
      cpu: spent && (spent.user + spent.system) / 1e6,
      heap: getHeapStatistics().used_heap_size - heap,
      ...(text !== undefined && { profile: text }),
    }
  }
  try {
    const handler = await handlerOf(module)
    sampling = profile && startSampling(profile.rate)
    const parent = propagation.extract(ROOT_CONTEXT, carrier)
    const value = await context.with(parent, handler, undefined, payload, info)
    if (reply === undefined) return used()
    const { value: result, list } = value instanceof Transfer ? value : new Transfer(value, [])
    // Throws here where it cannot be cloned.
    reply.postMessage(result, [...list])
    return used()
  } catch (error) {
    return { ...used(), thrown: describe(error) }
  } finally {
    reply?.close()
  }
}

/** A profile is no reason for a task to fail. */
function startSampling(rate: number): ThreadProfile | undefined {
  try {
    return new ThreadProfile(rate)
  } catch {
    return undefined
  }
}

function textOf(sampling: ThreadProfile, task: string, top: number): string | undefined {
  try {
    return sampling.stop(task).text(top)
  } catch {
    return undefined
  }
}

function handlerOf(module: string): Promise<Handler> {
  let handler = handlers.get(module)
  if (handler === undefined) {
    handler = load(module)
    handlers.set(module, handler)
  }
  return handler
}

async function load(module: string): Promise<Handler> {
  let loaded: { default?: unknown }
  try {
    loaded = (await import(module)) as { default?: unknown }
  } catch (error) {
    const { message } = describeError(error)
    throw new AfterspanError(
      'ERR_AFTERSPAN_WORKER_MODULE',
      `${module} cannot be loaded in a worker thread: ${message}`,
      {
        cause: error,
      },
    )
  }
  // A CommonJS module that was compiled from an ES module has its default inside.
  const handler = (loaded.default as { default?: unknown } | undefined)?.default ?? loaded.default
  if (typeof handler === 'function') return handler as Handler
  throw new AfterspanError(
    'ERR_AFTERSPAN_WORKER_MODULE',
    `${module} has no function as its default export; got ${typeof handler}. Write: export default async function (payload, context) { … }`,
  )
}

function describe(thrown: unknown): ThrownInThread {
  const { type, message, stack } = describeError(thrown)
  const unclonable = type === 'DataCloneError'
  const { code, delay } = properties(thrown)
  return {
    name: type,
    message: unclonable ? `What the handler returned cannot be cloned: ${message}` : message,
    stack,
    code: unclonable ? 'ERR_AFTERSPAN_WORKER_CLONE' : typeof code === 'string' ? code : undefined,
    retryAfter: type === 'RetryAfter' && typeof delay === 'number' ? delay : undefined,
    abandon: type === 'Abandon',
  }
}

function properties(thrown: unknown): { code?: unknown; delay?: unknown } {
  try {
    const { code, delay } = thrown as { code?: unknown; delay?: unknown }
    return { code, delay }
  } catch {
    return {}
  }
}
