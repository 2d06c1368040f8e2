import { type MeterProvider, metrics, type TracerProvider, trace } from '@opentelemetry/api'

/** What is to be closed on a signal. */
export interface Closable {
  /** Ends within its grace; never rejects. */
  closeOnSignal(): Promise<void>
  /** Ends at once: a second signal has come. */
  abandon(): void
  /** The line for the log when the process exits with work unfinished; undefined when none is. */
  leftBehind(): string | undefined
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/**
 * Marks the signal listeners of this package. A signal without listeners ends the process; a library that listens must
 * therefore end it itself, unless the app listens too and so decides.
 */
export const OWN_LISTENER = Symbol.for('afterspan.signal-listener')

/** How long a flush of telemetry may take, ms. */
const FLUSH_LIMIT = 5_000

const open = new Set<Closable>()
let closing = false

const onSignal = Object.assign(
  (signal: NodeJS.Signals) => {
    if (closing) {
      for (const closable of open) closable.abandon()
      return
    }
    closing = true
    void closeAll(signal)
  },
  { [OWN_LISTENER]: true },
)

const onExit = () => {
  for (const closable of open) {
    const line = closable.leftBehind()
    // Too late for a logger that writes later.
    if (line !== undefined) process.stderr.write(`${line}\n`)
  }
}

/** Closes this one on SIGTERM and SIGINT; the function that is returned takes that back. */
export function closeOnSignals(closable: Closable): () => void {
  if (open.size === 0) {
    for (const signal of SIGNALS) process.on(signal, onSignal)
    process.on('exit', onExit)
  }
  open.add(closable)
  return () => {
    open.delete(closable)
    if (open.size > 0 || closing) return
    for (const signal of SIGNALS) process.off(signal, onSignal)
    process.off('exit', onExit)
  }
}

async function closeAll(signal: NodeJS.Signals): Promise<void> {
  await Promise.all([...open].map((closable) => closable.closeOnSignal()))
  for (const name of SIGNALS) process.off(name, onSignal)
  process.off('exit', onExit)
  const theirs = process.listeners(signal).filter((listener) => !(OWN_LISTENER in listener))
  if (theirs.length > 0) return
  // The exit code is that of the signal, as if nobody had listened.
  for (const listener of process.listeners(signal)) process.off(signal, listener)
  process.kill(process.pid, signal)
}

/** Sends what the providers still hold; gives up after five seconds. Never rejects. */
export async function flushTelemetry(
  tracerProvider: TracerProvider | undefined,
  meterProvider: MeterProvider | undefined,
): Promise<void> {
  const flushes = [
    flush(tracerProvider ?? trace.getTracerProvider()),
    flush(meterProvider ?? metrics.getMeterProvider()),
  ]
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FLUSH_LIMIT)
  })
  await Promise.race([Promise.allSettled(flushes), limit])
  clearTimeout(timer)
}

/** The API has no `forceFlush`; the SDK's providers do, the global tracer provider behind its proxy. */
async function flush(provider: object): Promise<void> {
  const target =
    'getDelegate' in provider && typeof provider.getDelegate === 'function' ? provider.getDelegate() : provider
  if ('forceFlush' in target && typeof target.forceFlush === 'function') await target.forceFlush()
}
