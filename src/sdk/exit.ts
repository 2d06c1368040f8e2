/**
 * A property of signal listeners that belong to this package: `'sdk'` for the one below, `'tasks'` for that of
 * `createTasks`. Each counts only the listeners of others when it decides who ends the process.
 */
export const SHUTDOWN = Symbol.for('afterspan.shutdown')

/** Milliseconds that the end of the process waits for the telemetry at most. */
const LIMIT = 5_000

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/**
 * Sends what is buffered before the process ends: when it has nothing left to do, and on SIGTERM and SIGINT. Where somebody
 * else listens to the signal, it is theirs: the telemetry is sent meanwhile, and they end the process. Where nobody does,
 * the signal is raised again afterwards, so that the process ends by it as it would have. Exit codes stay as they are.
 */
export function flushAtExit(flush: () => Promise<void>, process: NodeJS.Process): void {
  // Sending is work, after which the loop is empty again: once is enough.
  process.once('beforeExit', () => void flush())
  for (const signal of SIGNALS) {
    const listener = () => {
      if (othersListen(process, signal, listener)) {
        void flush()
        return
      }
      process.removeListener(signal, listener)
      void limited(flush()).then(() => process.kill(process.pid, signal))
    }
    Object.defineProperty(listener, SHUTDOWN, { value: 'sdk' })
    process.on(signal, listener)
  }
}

function othersListen(process: NodeJS.Process, signal: NodeJS.Signals, own: unknown): boolean {
  return process.listeners(signal).some((listener) => listener !== own)
}

async function limited(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LIMIT)
  })
  await Promise.race([work, limit])
  clearTimeout(timer)
}
