/**
 * Every error that Afterspan raises, with what to do about it. `docs/errors.md` is made from this table.
 */
export const ERRORS = {
  ERR_AFTERSPAN_OPTION:
    'An option has a wrong type, lies outside its bounds, or is not known. Correct the option that the message names.',
  ERR_AFTERSPAN_TASK_NAME: 'A task needs a name: a string of 1 to 200 characters.',
  ERR_AFTERSPAN_TASK_EXISTS:
    'A task of this name is defined already. Define each task once, at start-up, and share the Task it returns.',
  ERR_AFTERSPAN_HANDLER: 'A task needs a handler: a function. It gets the payload and a context.',
  ERR_AFTERSPAN_ANONYMOUS:
    'A one-off task takes its name from its function, and an anonymous function has none. Give the function a name, or call tasks.defer(name, fn).',
  ERR_AFTERSPAN_BATCH_ITEM: 'context.fail of a batch takes the index of one of its items, from 0.',
  ERR_AFTERSPAN_PROMISE: 'tasks.track takes work that is already running: a promise.',
  ERR_AFTERSPAN_QUEUE_FULL:
    'The task was dropped because queueLimit tasks were waiting. Slow the producer, raise queueLimit, or raise concurrency.',
  ERR_AFTERSPAN_CLOSED:
    'The task was dropped because tasks.close() was called, or the process is shutting down. Defer before closing.',
  ERR_AFTERSPAN_DRAINING:
    'The task was dropped because tasks.drain() was called for it: what waits is still run, nothing new is taken. tasks.resume() ends that.',
  ERR_AFTERSPAN_TIMEOUT:
    'The attempt ran for longer than its timeout. Pass context.signal on to what the handler awaits, or raise timeout.',
  ERR_AFTERSPAN_CANCELLED: 'The task was cancelled, by its handle, its signal, its request, or close().',
  ERR_AFTERSPAN_EVENT: 'tasks.on was given an event that does not exist, or a listener that is not a function.',
  ERR_AFTERSPAN_TASKS: 'The function needs what createTasks() returned as its first argument.',
  ERR_AFTERSPAN_WORKER_MODULE:
    'defineWorker needs the URL of a module that exists and whose default export is the handler: new URL("./task.js", import.meta.url).',
  ERR_AFTERSPAN_WORKER_CLONE:
    'A payload goes into a worker thread, and a result out of it, as a copy: no functions, no classes with private parts. Send plain data.',
  ERR_AFTERSPAN_WORKER_EXIT:
    'The worker thread ended while it ran the task: by process.exit, or by an error that nobody caught. The pool has a new thread.',
  ERR_AFTERSPAN_WORKER_MEMORY:
    'The worker thread used more memory than its resourceLimits allow and was ended. Give it smaller payloads, or a higher limit.',
  ERR_AFTERSPAN_ENGINE:
    'The engine cannot do what the task asks for. The message says what, and docs/engines.md what each engine can do.',
  ERR_AFTERSPAN_ENGINE_REFUSED:
    'The engine did not take the task: it could not be reached, or gave an error, which is the cause. Look whether it runs, or let tasks wait for it with its option `buffer`.',
  ERR_AFTERSPAN_ENGINE_TIMEOUT:
    'The engine did not answer in time, and may or may not have the task. Deferring it again with the same key is safe as long as it has not ended.',
  ERR_AFTERSPAN_PAYLOAD:
    'The payload is not what the task’s schema asks for, or JSON cannot carry it. Send plain data; let producers and consumers have the same version of the schema.',
  ERR_AFTERSPAN_UNKNOWN_TASK:
    'A name was given, or a job in a queue is for, a task that this process has not defined. Such a job is kept in the engine as failed. Define the task, or use another queue.',
  ERR_AFTERSPAN_REDELIVERED:
    'The processes that ran the task were lost, again and again, so it is not run once more. Look whether it ends its process: by process.exit, memory, or an endless loop.',
  ERR_AFTERSPAN_WORK:
    'tasks.work() runs the tasks that have an engine, once. Define them before, and call it a single time.',
  ERR_AFTERSPAN_PROFILER:
    'The profiler cannot tell tasks apart, or is given something that it cannot profile. It needs Node 24, or NODE_OPTIONS=--experimental-async-context-frame on Node 22.',
  ERR_AFTERSPAN_MISSING_PEER:
    'A package that this part of Afterspan needs is not installed. Run the npm command in the message.',
} as const

export type ErrorCode = keyof typeof ERRORS

/** An error of Afterspan's own: `code` is stable, the message says what was wrong and what to do. */
export class AfterspanError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'AfterspanError'
    this.code = code
  }
}

/** What `context.signal` carries, and what `retryIf` gets, when an attempt has run for longer than its timeout. */
export class TimeoutError extends AfterspanError {
  constructor(task: string, timeout: number) {
    super('ERR_AFTERSPAN_TIMEOUT', `Task "${task}" ran for longer than its timeout of ${timeout} ms.`)
    this.name = 'TimeoutError'
  }
}

/** What `context.signal` carries when a task is cancelled while it runs; the reason given is its `cause`. */
export class CancelledError extends AfterspanError {
  constructor(task: string, reason?: unknown) {
    super(
      'ERR_AFTERSPAN_CANCELLED',
      `Task "${task}" was cancelled.`,
      reason === undefined ? undefined : { cause: reason },
    )
    this.name = 'CancelledError'
  }
}

/**
 * Thrown by a handler that knows when trying again makes sense, for example from a `Retry-After` header. It takes the
 * place of the backoff of this one retry; `attempts`, `retryIf` and the retry budget hold as ever.
 */
export class RetryAfter extends Error {
  /** Milliseconds until the task may run again, 0 to 2^31 - 1. */
  readonly delay: number

  /** @param when Milliseconds from now, or a date. A date in the past means at once. */
  constructor(when: number | Date, message = 'Asked to be retried later', options?: ErrorOptions) {
    super(message, options)
    this.name = 'RetryAfter'
    const delay = when instanceof Date ? when.getTime() - Date.now() : when
    if (typeof delay !== 'number' || Number.isNaN(delay)) {
      throw new AfterspanError(
        'ERR_AFTERSPAN_OPTION',
        `RetryAfter takes milliseconds or a valid Date, not ${String(when)}.`,
      )
    }
    this.delay = Math.min(Math.max(0, delay), 2 ** 31 - 1)
  }
}

/** Thrown by a handler that knows that no further attempt can succeed: the task fails at once. */
export class Abandon extends Error {
  constructor(message = 'Abandoned', options?: ErrorOptions) {
    super(message, options)
    this.name = 'Abandon'
  }
}
