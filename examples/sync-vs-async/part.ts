/** Parts that run in a process of their own and answer calls by name, one at a time, so that none disturbs what another measures. */

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

type Answer = { readonly value?: unknown; readonly error?: string }

/** A part that runs. */
export class Part {
  readonly #process: ChildProcess
  readonly #ended: Promise<string>

  /** @param argument What the part gets from `argument()`. */
  constructor(file: string, argument: unknown = {}) {
    this.#process = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(argument)], {
      // Nothing of the caller's shell is to change what is measured.
      execArgv: [],
      env: { PATH: process.env.PATH, NODE_ENV: 'production' },
    })
    this.#ended = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => resolve(`The process of ${file} ended with ${code ?? signal}.`))
    })
  }

  /** @throws Error what the part has thrown, or that it has ended. */
  call<T>(name: string, argument: unknown = {}): Promise<T> {
    const answer = new Promise<T>((resolve, reject) => {
      this.#process.once('message', ({ value, error }: Answer) => {
        if (error === undefined) resolve(value as T)
        else reject(new Error(error))
      })
      this.#process.send({ name, argument }, (error) => error !== null && reject(error))
    })
    return Promise.race([answer, this.#ended.then((why) => Promise.reject(new Error(why)))])
  }

  async stop(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#ended
  }
}

/** In the part: what it was given. */
export function argument<T>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T
}

/** In the part: answers calls, as long as there is somebody to call. */
export function serve(handlers: Record<string, (argument: never) => unknown>): void {
  process.on('message', async ({ name, argument }: { name: string; argument: never }) => {
    let answer: Answer
    try {
      answer = { value: await handlers[name]!(argument) }
    } catch (error) {
      answer = { error: error instanceof Error ? error.message : String(error) }
    }
    process.send!(answer)
  })
  process.once('disconnect', () => process.exit())
}
