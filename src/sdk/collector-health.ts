import { describeError } from '../model/describe-error.ts'
import type { Notice } from './notice.ts'

/** The shortest time between two lines about the same thing, in ms: a collector that comes and goes must not fill the log. */
const SILENCE = 60_000

/**
 * What is known of the place that spans are sent to, and what has been said about it: one line when it fails, one when it
 * is back, one when more spans came at once than are kept.
 */
export class CollectorHealth {
  readonly #notice: Notice
  readonly #endpoint: string
  readonly #capacity: number
  #down = false
  #answers = false
  #lostWhileDown = 0
  #saidDown = false
  #saidDownAt = Number.NEGATIVE_INFINITY
  #saidFullAt = Number.NEGATIVE_INFINITY
  #full = false

  constructor(notice: Notice, endpoint: string, capacity: number) {
    this.#notice = notice
    this.#endpoint = endpoint
    this.#capacity = capacity
  }

  /** The last export failed and none has succeeded since. */
  get down(): boolean {
    return this.#down
  }

  /** The last export succeeded. */
  get answers(): boolean {
    return this.#answers
  }

  exported(): void {
    this.#answers = true
    if (!this.#down) return
    this.#down = false
    if (!this.#saidDown) return
    this.#saidDown = false
    this.#notice(
      `spans reach ${this.#endpoint} again. ${this.#lostWhileDown} were lost meanwhile (afterspan_telemetry_lost_total).`,
    )
  }

  failed(spans: number, error: unknown, now: number): void {
    if (!this.#down) this.#lostWhileDown = 0
    this.#answers = false
    this.#down = true
    this.#lostWhileDown += spans
    if (this.#saidDown || now - this.#saidDownAt < SILENCE) return
    this.#saidDown = true
    this.#saidDownAt = now
    this.#notice(
      `spans do not reach ${this.#endpoint} (${reason(error)}). The app goes on; up to ${this.#capacity} spans are kept, more are ` +
        'lost and counted in afterspan_telemetry_lost_total. Start the collector, correct OTEL_EXPORTER_OTLP_ENDPOINT, or ' +
        'turn traces off with OTEL_TRACES_EXPORTER=none.',
    )
  }

  /** A span was refused because the queue is full. */
  refused(now: number): void {
    if (this.#down) this.#lostWhileDown++
    if (this.#full) return
    this.#full = true
    if (this.#down || now - this.#saidFullAt < SILENCE) return
    this.#saidFullAt = now
    this.#notice(
      `spans are lost: more than ${this.#capacity} wait for ${this.#endpoint}. Each is counted in ` +
        'afterspan_telemetry_lost_total{reason="queue_full"}. Raise OTEL_BSP_MAX_QUEUE_SIZE, sample fewer traces ' +
        '(OTEL_TRACES_SAMPLER), or make the collector faster.',
    )
  }

  /** The queue has room again: the next time it is full is news. */
  drained(): void {
    this.#full = false
  }

  /** The process ends with spans that were not sent. Nothing new, where it was said that they do not arrive. */
  unsent(spans: number): void {
    if (this.#down && this.#saidDown) return
    this.#notice(
      `${spans === 1 ? '1 span was' : `${spans} spans were`} not sent to ${this.#endpoint} before the process ended: it did not answer in time, or process.exit() ` +
        'left no time. An app that calls process.exit() awaits tasks.close(), or shutdown() of startTelemetry, before it.',
    )
  }
}

/** The connection's code or what the collector said; an `AggregateError` of Node's dual-stack connect has no message of its own. */
function reason(error: unknown): string {
  const { type, message } = describeError(error)
  const code = (error as { code?: unknown } | null | undefined)?.code
  const text = message.split('\n', 1)[0]!.slice(0, 200)
  if (text === '') return String(code ?? type)
  return typeof code === 'number' ? `${code} ${text}` : text
}
