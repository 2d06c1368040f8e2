import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { isAbsolute } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { MessageChannel, type ResourceLimits, receiveMessageOnPort, type Transferable } from 'node:worker_threads'
import { context, propagation } from '@opentelemetry/api'
import type { Piscina } from 'piscina'
import type { TaskContext } from '../background/deferral.ts'
import type { Task } from '../background/public.ts'
import { Tasks } from '../background/tasks.ts'
import { checkFunction, checkNumber, checkObject, MAX_MS } from '../model/check.ts'
import { Abandon, AfterspanError, type ErrorCode, RetryAfter } from '../model/errors.ts'
import { resolveProfile, TASK_OPTIONS, type TaskOptions } from '../model/options.ts'
import type { Call, Report, ThrownInThread } from './protocol.ts'

/** Options of `defineWorker`: those of `tasks.define`, and of the pool of threads. */
export interface WorkerOptions<P = unknown, R = unknown> extends TaskOptions {
  /**
   * How many threads may run it at once: 1 to 1,024. Default: one less than there are cores, and at least one. `concurrency`
   * is the same unless it is given, and never more: what waits, waits in Afterspan, where it is seen.
   */
  threads?: number
  /**
   * By how much the threads give way to the rest of the process, on Linux: 0 to 19, as `nice` has it. Default 10 there, so
   * that the event loop has a core when it wants one, and 0 elsewhere, where it would hold for the whole process. Without effect
   * where piscina's optional `@napi-rs/nice` is not installed.
   */
  niceIncrement?: number
  /** How long a thread without work is kept, in ms: 0 to 2^31 - 1. Default 30,000. */
  idleTimeout?: number
  /** Node's limits of each thread's memory. They do not bound Buffers. Default: Node's own. */
  resourceLimits?: ResourceLimits
  /** What of the payload is handed over instead of copied. It is gone then, so there can be no second attempt. */
  transfer?: (payload: P) => readonly Transferable[]
  /** Gets what the handler returned, in the main thread, as a part of the attempt. Without it, what it returns is not sent. */
  onResult?: (result: R, payload: P, context: TaskContext) => unknown
}

/** Only Linux has a niceness for each thread. */
const GIVE_WAY = process.platform === 'linux' ? 10 : 0

const POOL_OPTIONS = ['threads', 'niceIncrement', 'idleTimeout', 'resourceLimits', 'transfer', 'onResult'] as const

/**
 * Defines a task whose handler, the default export of a module, runs in a pool of worker threads: CPU-bound work that must
 * not hold the event loop. The trace context goes with it, a timeout or a cancellation ends the thread, whatever it does, and
 * the pool makes a new one.
 *
 * @param url Of the module, JavaScript or (from Node 22.18) TypeScript: `new URL('./resize.js', import.meta.url)`.
 * @throws AfterspanError ERR_AFTERSPAN_TASKS, ERR_AFTERSPAN_WORKER_MODULE, ERR_AFTERSPAN_MISSING_PEER, and those of `define`.
 */
export function defineWorker<P, R = unknown>(
  tasks: Tasks,
  name: string,
  url: URL | string,
  options: WorkerOptions<P, R> = {},
): Task<P> {
  if (!(tasks instanceof Tasks)) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_TASKS',
      `defineWorker takes what createTasks() returned, got ${typeof tasks}.`,
    )
  }
  const module = moduleOf(url)
  const given = checkObject('options', options, [...TASK_OPTIONS, ...POOL_OPTIONS])
  const {
    threads: asked,
    niceIncrement,
    idleTimeout,
    resourceLimits,
    transfer,
    onResult,
    profile,
    ...taskOptions
  } = given
  const threads =
    checkNumber('threads', asked, { min: 1, max: 1_024, whole: true }) ?? Math.max(1, availableParallelism() - 1)
  const settings = {
    filename: new URL('thread.js', import.meta.url).href,
    minThreads: 0,
    maxThreads: threads,
    niceIncrement: checkNumber('niceIncrement', niceIncrement, { min: 0, max: 19, whole: true }) ?? GIVE_WAY,
    idleTimeout: checkNumber('idleTimeout', idleTimeout, { min: 0, max: MAX_MS }) ?? 30_000,
    ...(resourceLimits !== undefined && { resourceLimits }),
  }
  const sampling = resolveProfile(profile)
  checkFunction('transfer', transfer)
  checkFunction('onResult', onResult)
  if (transfer !== undefined && (taskOptions.retry?.attempts ?? 1) > 1) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_OPTION',
      'Expected `retry.attempts` to be 1 with `transfer`: a payload that was handed over is not there for a second attempt.',
    )
  }
  const Pool = loadPiscina()
  let pool: Piscina | undefined
  /** `performance.now()` from which on the next run is sampled. */
  let profileFrom = 0
  Tasks.whenClosed(tasks, async () => pool?.destroy())

  const run = async (payload: P, attempt: TaskContext): Promise<unknown> => {
    pool ??= new Pool(settings)
    const channel = onResult === undefined ? undefined : new MessageChannel()
    const carrier: Record<string, string> = {}
    propagation.inject(context.active(), carrier)
    const { id, origin, signal } = attempt
    const profiled = sampling !== undefined && performance.now() >= profileFrom
    if (profiled) profileFrom = performance.now() + sampling.every
    const call: Call = {
      module,
      payload,
      info: {
        id,
        task: name,
        attempt: attempt.attempt,
        origin: origin && { method: origin.method, route: origin.route },
      },
      carrier,
      reply: channel?.port2,
      profile: profiled ? { rate: sampling.rate, top: sampling.top } : undefined,
    }
    const list = [...(transfer?.(payload) ?? []), ...(channel === undefined ? [] : [channel.port2])]
    try {
      const report = (await pool.run(call, { signal, transferList: list as never }).catch((error: unknown) => {
        throw signal.aborted ? signal.reason : poolError(error)
      })) as Report
      Tasks.used(tasks, name, report.cpu, report.heap)
      if (report.cpu !== undefined) attempt.span.setAttribute('task.cpu', report.cpu)
      attempt.span.setAttribute('task.heap', report.heap)
      if (report.profile !== undefined) Tasks.log(tasks, `afterspan: profile: ${report.profile}`)
      if (report.thrown !== undefined) throw revived(report.thrown)
      if (channel === undefined) return undefined
      const received = receiveMessageOnPort(channel.port1) as { message: R } | undefined
      return await onResult?.(received?.message as R, payload, attempt)
    } finally {
      channel?.port1.close()
    }
  }
  const concurrency = Math.min(taskOptions.concurrency ?? threads, threads)
  const task = tasks.define<P>(name, run, { ...taskOptions, concurrency })
  Tasks.runsElsewhere(tasks, name)
  return task
}

function moduleOf(url: URL | string): string {
  const text = String(url)
  const href = isAbsolute(text) ? pathToFileURL(text).href : text
  if (!href.startsWith('file:')) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_WORKER_MODULE',
      `defineWorker takes the file URL of a module, got ${text}. Write: new URL('./task.js', import.meta.url)`,
    )
  }
  if (!existsSync(fileURLToPath(href))) {
    throw new AfterspanError('ERR_AFTERSPAN_WORKER_MODULE', `defineWorker: there is no module ${fileURLToPath(href)}.`)
  }
  return href
}

function loadPiscina(): typeof Piscina {
  const require = createRequire(import.meta.url)
  try {
    return (require('piscina') as { Piscina: typeof Piscina }).Piscina
  } catch (cause) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_MISSING_PEER',
      'afterspan/worker needs a package that is not installed. Run: npm install piscina',
      { cause },
    )
  }
}

/** What the pool says where the thread could say nothing. */
function poolError(error: unknown): unknown {
  const { name, code, message } = error as { name?: unknown; code?: unknown; message?: unknown }
  const exit = /^worker exited with code: (-?\d+)$/.exec(String(message))
  if (exit !== null) {
    return new AfterspanError(
      'ERR_AFTERSPAN_WORKER_EXIT',
      `The worker thread ended with exit code ${exit[1]} while it ran the task.`,
    )
  }
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return new AfterspanError('ERR_AFTERSPAN_WORKER_MEMORY', `The worker thread was out of memory: ${message}`, {
      cause: error,
    })
  }
  if (name === 'DataCloneError') {
    return new AfterspanError('ERR_AFTERSPAN_WORKER_CLONE', `The payload cannot be cloned: ${message}`, {
      cause: error,
    })
  }
  return error
}

/** The error again, as far as it can be: its class is not here. */
function revived({ name, message, stack, code, retryAfter, abandon }: ThrownInThread): Error {
  if (retryAfter !== undefined) return new RetryAfter(retryAfter, message)
  if (abandon) return new Abandon(message)
  const error: Error & { code?: string } = code?.startsWith('ERR_AFTERSPAN_')
    ? new AfterspanError(code as ErrorCode, message)
    : Object.assign(new Error(message), { name }, code !== undefined && { code })
  if (stack !== undefined) error.stack = stack
  return error
}
