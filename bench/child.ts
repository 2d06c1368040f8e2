/**
 * Parts of a benchmark that run in a process of their own, so that none of them inherits the heap, the compiled code or the
 * timers of another. The parent calls them by name over Node's IPC channel, one call at a time.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

type Handlers = Record<string, (argument: never) => unknown>

/** A part that runs. */
export class Child {
  readonly #process: ChildProcess

  /** @param file Beside this one. @param argument What the part gets from `argument()`. */
  constructor(file: string, argument: unknown = {}, nodeOptions: readonly string[] = []) {
    this.#process = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(argument)], {
      execArgv: ['--expose-gc', ...nodeOptions],
      // Only what a benchmark sets up itself: no variable of the caller's shell may change what is measured.
      env: {
        PATH: process.env.PATH,
        NODE_ENV: 'production',
        OTEL_LOGS_EXPORTER: 'none',
        OTEL_METRICS_EXPORTER: 'none',
      },
    })
  }

  call<T>(name: string, argument: unknown = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      const died = (code: number | null) => reject(new Error(`The part ended with ${code} in "${name}".`))
      this.#process.once('exit', died)
      this.#process.once('message', (answer: { value?: T; error?: string }) => {
        this.#process.off('exit', died)
        if (answer.error === undefined) resolve(answer.value as T)
        else reject(new Error(answer.error))
      })
      this.#process.send({ name, argument })
    })
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.kill('SIGKILL')
    await exited
  }
}

/** Starts a part for one call. */
export async function once<T>(
  file: string,
  argument: unknown,
  name: string,
  nodeOptions?: readonly string[],
  callArgument?: unknown,
): Promise<T> {
  const child = new Child(file, argument, nodeOptions)
  try {
    return await child.call<T>(name, callArgument)
  } finally {
    await child.stop()
  }
}

/** In the part: what the parent gave. */
export function argument<T>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T
}

/** In the part: answers the parent's calls. */
export function serve(handlers: Handlers): void {
  process.on('message', async ({ name, argument }: { name: string; argument: never }) => {
    try {
      process.send!({ value: await handlers[name]!(argument) })
    } catch (error) {
      process.send!({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  })
}

/** In the part: collects garbage, so that one measurement does not pay for what another left. */
export function collectGarbage(): void {
  globalThis.gc!()
}

/** In the part: CPU time of this thread, µs. Other programs on the machine delay a wall clock, not this one. */
export function threadCpu(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}

/** In the part: CPU time of the process with its garbage-collection and compiler threads, µs. */
export function processCpu(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}
