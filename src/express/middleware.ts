import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TaskHandle } from '../background/deferral.ts'
import type { Task } from '../background/public.ts'
import { inScope, rememberBySpan } from '../background/scope.ts'
import { Tasks } from '../background/tasks.ts'
import { AfterspanError } from '../model/errors.ts'
import { RequestScope } from './request-scope.ts'

/**
 * Defers a named function with its arguments, or a payload for a defined task, until the response of this request is over.
 *
 * @throws AfterspanError ERR_AFTERSPAN_ANONYMOUS when the function has no name.
 */
export interface RequestDefer {
  <A extends unknown[]>(run: (...args: A) => unknown, ...args: A): TaskHandle
  <P>(task: Task<P>, payload: P): TaskHandle
}

declare global {
  namespace Express {
    interface Request {
      defer: RequestDefer
    }
  }
}

/** A request that the middleware has seen. */
export interface DeferringRequest extends IncomingMessage {
  defer?: RequestDefer
}

export type Next = (error?: unknown) => void

/**
 * Express middleware that lets `task.defer` find its request by itself, and adds `req.defer`. What is deferred in the
 * request is held until its response is over. Mount it before the routes, once.
 *
 * @throws AfterspanError ERR_AFTERSPAN_TASKS when it is not given what `createTasks` returned.
 */
export function middleware(tasks: Tasks): (req: IncomingMessage, res: ServerResponse, next: Next) => void {
  checkTasks('middleware', tasks)
  const clock = Tasks.clockOf(tasks)
  const foreground = Tasks.foregroundOf(tasks)
  return function afterspan(req: DeferringRequest, res, next) {
    let scope = RequestScope.of(req)
    if (scope === undefined) {
      scope = new RequestScope(req, res, clock, foreground)
      rememberBySpan(scope)
    }
    const own = scope
    req.defer = ((work: Task<unknown> | ((...args: unknown[]) => unknown), ...args: unknown[]) =>
      inScope(own, () => deferOf(tasks, work, args))) as RequestDefer
    inScope(scope, next)
  }
}

export function checkTasks(what: string, tasks: unknown): asserts tasks is Tasks {
  if (tasks instanceof Tasks) return
  throw new AfterspanError(
    'ERR_AFTERSPAN_TASKS',
    `${what}(tasks) takes what createTasks() returned, got ${typeof tasks}.`,
  )
}

function deferOf(tasks: Tasks, work: Task<unknown> | ((...args: unknown[]) => unknown), args: unknown[]): TaskHandle {
  if (typeof work === 'function') return tasks.defer(nameOf(work), () => work(...args))
  if (typeof work?.defer === 'function') return work.defer(args[0])
  throw new AfterspanError('ERR_AFTERSPAN_HANDLER', `req.defer takes a function or a task, got ${typeof work}.`)
}

function nameOf(run: (...args: never[]) => unknown): string {
  const name = run.name.replace(/^(bound )+/, '')
  if (name !== '') return name
  throw new AfterspanError(
    'ERR_AFTERSPAN_ANONYMOUS',
    'req.defer takes the name of the task from the function, and this one has none. Name it, or call tasks.defer(name, fn).',
  )
}
