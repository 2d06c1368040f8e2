/** IO-bound work: a call to a slow service. */

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'

/** @throws TypeError where the service cannot be reached, Error where it does not answer with 2xx. */
export async function ask(url: string): Promise<void> {
  const response = await fetch(url)
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`The service answered ${response.status}.`)
}

const PATIENCE = 30_000

/** One end of the way to the thread that asks, and what is 0 as long as there is no answer. */
export interface Asking {
  readonly flag: Int32Array
  readonly port: MessagePort
}

let asking: Asking | undefined

/**
 * The same from a handler that is not async. Node has no HTTP client that blocks; packages that offer one, and code that calls
 * `execFileSync('curl')`, do it as is done here: somebody else asks, and this thread stands still until the answer is there. A
 * thread that lives on is the cheapest of them: `execFileSync` would add the start of a process to each call.
 */
export function askBlocking(url: string): void {
  asking ??= startThread()
  const { flag, port } = asking
  Atomics.store(flag, 0, 0)
  port.postMessage(url)
  if (Atomics.wait(flag, 0, 0, PATIENCE) === 'timed-out') throw new Error(`No answer in ${PATIENCE / 1000} s.`)
  const received = receiveMessageOnPort(port) as { message: string | undefined }
  if (received.message !== undefined) throw new Error(received.message)
}

function startThread(): Asking {
  const { port1, port2 } = new MessageChannel()
  const flag = new Int32Array(new SharedArrayBuffer(4))
  const workerData: Asking = { flag, port: port2 }
  const thread = new Worker(new URL('./ask-thread.ts', import.meta.url), { workerData, transferList: [port2] })
  thread.unref()
  return { flag, port: port1 }
}
