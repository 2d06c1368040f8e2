import { getHeapStatistics } from 'node:v8'
import { type Context, context, createContextKey, ROOT_CONTEXT, TraceFlags } from '@opentelemetry/api'
import { type SelfHealth, selfHealth } from '../telemetry/self-health.ts'
import { CollectorHealth } from './collector-health.ts'
import { whyUnreachable } from './collector-probe.ts'
import { type Notice, notice } from './notice.ts'
import type { ExportResult, ReadableSpan, SpanExporter, SpanProcessor } from './sdk-types.ts'
import { SpanQueue } from './span-queue.ts'

/** Measured: a span with seven attributes and a link keeps 1.1 KB of heap until it is sent; an exception with its stack as much again. */
const BYTES_PER_SPAN = 2_048

export interface BurstSpanProcessorOptions {
  readonly exporter: SpanExporter
  /** Spans that may wait; what comes beyond is lost and counted. Default: what fits into a quarter of the heap limit, 2,048 to 1,000,000. */
  readonly maxQueueSize?: number
  /** Spans in one request to the collector, 1 to `maxQueueSize`. Default 256: serialising it holds the event loop for 4 ms (512: 8 ms). */
  readonly maxExportBatchSize?: number
  /** Milliseconds that a span waits at most for its batch to fill. Default 5,000. */
  readonly scheduledDelayMillis?: number
  /** Milliseconds after which an export counts as failed, and the upper limit of `forceFlush` and `shutdown`. Default 30,000. */
  readonly exportTimeoutMillis?: number
  /** Exports in flight at once, 1 to 30. Default 16: at 256 spans each and 100 ms an answer, 40,000 spans a second. */
  readonly maxInFlight?: number
  /** Where the spans go, for messages. Default `the collector`. */
  readonly endpoint?: string
  /** Tells why nothing listens at the endpoint; undefined when something does. Default: by a TCP connection. */
  readonly probe?: (endpoint: string) => Promise<Error | undefined>
  readonly notice?: Notice
  readonly health?: SelfHealth
}

/** Longest pause between two tries while the collector fails, in ms; from 1 s on it doubles. */
const MAX_PAUSE = 30_000

/** An export that has not been answered; `first` counts spans since the start. */
interface Request {
  readonly spans: number
  readonly first: number
}

interface Flush {
  /** Spans accepted when it was asked for. */
  readonly upTo: number
  done: () => void
}

/** Set in a context, the SDK starts no spans in it: the export's own HTTP requests must not become spans. The SDK's key, by its name. */
const SUPPRESSED: Context = ROOT_CONTEXT.setValue(
  createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING'),
  true,
)

/**
 * Sends ended spans in batches, several at a time, and accounts for each one: it arrives, or it is counted in
 * `afterspan.telemetry.lost` and the log says why, once.
 *
 * The stock BatchSpanProcessor sends one batch at a time from a queue of 2,048 and drops the rest silently. Here a burst
 * waits in a queue bounded by memory. Nothing is serialised in `onEnd`, that is, in somebody's request, and between two
 * batches the event loop runs. While the collector fails, one batch at a time is tried and the others wait.
 */
export class BurstSpanProcessor implements SpanProcessor {
  /** The options in force. */
  readonly maxQueueSize: number
  readonly maxExportBatchSize: number
  readonly maxInFlight: number
  readonly #exporter: SpanExporter
  readonly #delay: number
  readonly #timeout: number
  readonly #selfHealth: SelfHealth
  readonly #collector: CollectorHealth
  readonly #endpoint: string
  readonly #probe: (endpoint: string) => Promise<Error | undefined>
  readonly #queue: SpanQueue
  readonly #inFlight = new Set<Request>()
  #timer: NodeJS.Timeout | undefined
  #turn: NodeJS.Immediate | undefined
  /** Callers of forceFlush; while there are any, batches that are not full go too. */
  #flushes: Flush[] = []
  /** The batch that is not full has waited for long enough. */
  #due = false
  /** Spans put into the queue, and taken out of it, since the start. */
  #accepted = 0
  #taken = 0
  /** After a failed export: nothing is tried until it fires. */
  #pause: NodeJS.Timeout | undefined
  #failures = 0
  #shutdown: Promise<void> | undefined
  #stopped = false

  constructor(options: BurstSpanProcessorOptions) {
    this.#exporter = options.exporter
    this.maxQueueSize = options.maxQueueSize ?? defaultQueueSize(getHeapStatistics().heap_size_limit)
    this.maxExportBatchSize = Math.min(options.maxExportBatchSize ?? 256, this.maxQueueSize)
    this.maxInFlight = Math.min(options.maxInFlight ?? 16, 30)
    this.#delay = options.scheduledDelayMillis ?? 5_000
    this.#timeout = options.exportTimeoutMillis ?? 30_000
    this.#selfHealth = options.health ?? selfHealth
    this.#queue = new SpanQueue(this.maxExportBatchSize)
    this.#endpoint = options.endpoint ?? 'the collector'
    this.#probe = options.probe ?? whyUnreachable
    this.#collector = new CollectorHealth(options.notice ?? notice, this.#endpoint, this.maxQueueSize)
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0) return
    if (this.#shutdown !== undefined || this.#stopped) {
      this.#selfHealth.lost('shutdown')
      return
    }
    if (this.#queue.size >= this.maxQueueSize) {
      this.#selfHealth.lost('queue_full')
      this.#collector.refused(performance.now())
      return
    }
    this.#accepted++
    this.#queue.add(span)
    if (this.#queue.fullBatches > 0) this.#scheduleTurn()
    else this.#startTimer()
  }

  /**
   * Resolves when all spans that had ended at the call are sent, when two exports in a row have failed, after
   * `exportTimeoutMillis`, or at once when nothing listens at the collector's address; never rejects.
   */
  forceFlush(): Promise<void> {
    if (this.#shutdown !== undefined) return this.#shutdown
    return this.#flush()
  }

  /** As `forceFlush`; then what is not sent is counted with the reason `shutdown`, and so is every span that ends later. */
  shutdown(): Promise<void> {
    this.#shutdown ??= this.#close()
    return this.#shutdown
  }

  async #close(): Promise<void> {
    const started = performance.now()
    await this.#flush()
    this.abandon()
    // The OTLP exporter waits for its requests, retries included, however long they take.
    await within(Math.max(100, this.#timeout - (performance.now() - started)), this.#exporter.shutdown())
  }

  /** Gives up what has not been sent: it is counted with the reason `shutdown`, and said. Nothing is sent after it. */
  abandon(): void {
    this.#stopped = true
    this.#resume()
    clearTimeout(this.#timer)
    clearImmediate(this.#turn)
    let unsent = this.#queue.size
    this.#queue.clear()
    for (const request of this.#inFlight) unsent += request.spans
    this.#inFlight.clear()
    if (unsent > 0) {
      this.#selfHealth.lost('shutdown', unsent)
      this.#collector.unsent(unsent)
    }
  }

  async #flush(): Promise<void> {
    const flush: Flush = { upTo: this.#accepted, done: () => {} }
    if (this.#isSent(flush)) return
    const sent = new Promise<void>((resolve) => {
      flush.done = resolve
    })
    this.#flushes.push(flush)
    this.#resume()
    this.#scheduleTurn()
    if (!this.#collector.answers) void this.#giveUpIfUnreachable(flush)
    await within(this.#timeout, sent)
    this.#flushes = this.#flushes.filter((other) => other !== flush)
  }

  /** The end of a process waits for a flush: not for the exporter's retries where nobody listens. */
  async #giveUpIfUnreachable(flush: Flush): Promise<void> {
    const error = await this.#probe(this.#endpoint)
    if (error === undefined || this.#collector.answers || this.#stopped) return
    this.#collector.failed(0, error, performance.now())
    flush.done()
  }

  /** The spans that had ended before the flush was asked for are out of the queue, and their exports have been answered. */
  #isSent(flush: Flush): boolean {
    if (this.#taken < flush.upTo) return false
    for (const request of this.#inFlight) if (request.first < flush.upTo) return false
    return true
  }

  #startTimer(): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#due = true
      this.#scheduleTurn()
    }, this.#delay)
    this.#timer.unref()
  }

  #scheduleTurn(): void {
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined
      this.#sendOne()
    })
  }

  /** One batch, which is serialised synchronously; then the event loop has its turn. */
  #sendOne(): void {
    if (this.#stopped || this.#pause !== undefined) return
    if (this.#inFlight.size >= (this.#collector.down ? 1 : this.maxInFlight)) return
    const batch = this.#queue.take(this.#due || this.#flushes.length > 0)
    if (batch === undefined) return
    if (this.#queue.size < this.maxQueueSize / 2) this.#collector.drained()
    if (this.#queue.size === 0) this.#due = false
    this.#export(batch)
    if (this.#queue.fullBatches > 0 || this.#flushes.length > 0) this.#scheduleTurn()
    else if (this.#queue.size > 0) this.#startTimer()
  }

  #export(batch: ReadableSpan[]): void {
    const request: Request = { spans: batch.length, first: this.#taken }
    this.#taken += batch.length
    this.#inFlight.add(request)
    const settle = (result: ExportResult) => {
      clearTimeout(timer)
      // Given up already, by the timer or by shutdown: what comes now changes no count.
      if (!this.#inFlight.delete(request)) return
      if (result.code === 0) this.#succeeded()
      else this.#failed(batch.length, result.error)
      this.#scheduleTurn()
    }
    const timer = setTimeout(
      () => settle({ code: 1, error: new Error(`no answer in ${this.#timeout} ms`) }),
      this.#timeout,
    )
    timer.unref()
    const send = () => {
      try {
        context.with(SUPPRESSED, () => this.#exporter.export(batch, settle))
      } catch (error) {
        settle({ code: 1, error: error instanceof Error ? error : new Error(String(error)) })
      }
    }
    const resource = batch[0]!.resource
    if (resource.asyncAttributesPending === true && resource.waitForAsyncAttributes !== undefined) {
      resource.waitForAsyncAttributes().then(send, send)
    } else send()
  }

  #succeeded(): void {
    this.#collector.exported()
    this.#failures = 0
    this.#resume()
    for (const flush of this.#flushes) if (this.#isSent(flush)) flush.done()
  }

  /**
   * The exporter has retried by itself already: the batch is lost. The others wait for a while. A flush tries once more at
   * once, for it may have been this batch that the collector did not like, and then gives up.
   */
  #failed(spans: number, error: unknown): void {
    this.#selfHealth.lost('export_failed', spans)
    this.#collector.failed(spans, error, performance.now())
    if (this.#pause !== undefined || this.#stopped) return
    this.#failures++
    if (this.#flushes.length > 0 && this.#failures < 2) return
    for (const flush of this.#flushes) flush.done()
    const pause = Math.min(MAX_PAUSE, 1_000 * 2 ** (this.#failures - 1))
    this.#pause = setTimeout(() => {
      this.#resume()
      this.#scheduleTurn()
    }, pause)
    this.#pause.unref()
  }

  #resume(): void {
    clearTimeout(this.#pause)
    this.#pause = undefined
  }
}

/** @param heapLimit Bytes. */
export function defaultQueueSize(heapLimit: number): number {
  return Math.min(1_000_000, Math.max(2_048, Math.floor(heapLimit / 4 / BYTES_PER_SPAN)))
}

/** Resolves with the promise, however it ends, or after so many milliseconds. */
function within(milliseconds: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds)
    const done = () => {
      clearTimeout(timer)
      resolve()
    }
    promise.then(done, done)
  })
}
