/** Asks the service for a thread that stands still meanwhile; see `askBlocking`. */

import { workerData } from 'node:worker_threads'
import { type Asking, ask } from './io.ts'

const { flag, port } = workerData as Asking

port.on('message', async (url: string) => {
  let error: string | undefined
  try {
    await ask(url)
  } catch (thrown) {
    error = (thrown as Error).message
  }
  // Before the thread is woken: it does not wait for the message as well.
  port.postMessage(error)
  Atomics.store(flag, 0, 1)
  Atomics.notify(flag, 0)
})
