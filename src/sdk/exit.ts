import { OWN_LISTENER } from '../background/shutdown.ts'
import type { RunningTelemetry } from './start.ts'

/** Milliseconds that the end of the process waits for the telemetry at most. */
const LIMIT = 5_000

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/**
 * Sends what is buffered before the process ends: when it has nothing left to do, and on SIGTERM and SIGINT. Where somebody
 * else listens to the signal, it is theirs: the telemetry is sent meanwhile, and they end the process. Where nobody does,
 * the signal is raised again afterwards, so that the process ends by it as it would have. Exit codes stay as they are.
 * What could not be sent is counted and said.
 */
export function flushAtExit(
  { flush, abandon }: Pick<RunningTelemetry, 'flush' | 'abandon'>,
  process: NodeJS.Process,
): void {
  // Sending is work, after which the loop is empty again: once is enough.
  process.once('beforeExit', () => void flush())
  process.once('exit', abandon)
  for (const signal of SIGNALS) {
    const listener = () => {
      if (othersListen(process, signal, listener)) {
        void flush()
        return
      }
      process.removeListener(signal, listener)
      void limited(flush()).then(() => {
        abandon()
        process.kill(process.pid, signal)
      })
    }
    process.on(signal, Object.assign(listener, { [OWN_LISTENER]: true }))
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
