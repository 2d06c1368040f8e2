import { threadId } from 'node:worker_threads'
import { type Context, TraceFlags } from '@opentelemetry/api'
import { selfHealth } from '../telemetry/self-health.ts'
import type { ReadableSpan, SpanProcessor } from './sdk-types.ts'

/** Worker threads may be ended at any time, and what they would send then is lost. So they send nothing but to this process. */
const CHANNEL = `afterspan.spans.${process.pid}`

/** What of a span crosses threads: all of it but its resource, which is that of the process. */
type SentSpan = Omit<ReadableSpan, 'spanContext' | 'resource'> & {
  readonly context: ReturnType<ReadableSpan['spanContext']>
}

/** In a worker thread: gives each ended span to the main thread at once. */
export class ForwardingSpanProcessor implements SpanProcessor {
  readonly #channel = new BroadcastChannel(CHANNEL)

  constructor() {
    ;(this.#channel as unknown as { unref(): void }).unref()
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    const { traceId, spanId, traceFlags, isRemote } = span.spanContext()
    if ((traceFlags & TraceFlags.SAMPLED) === 0) return
    const sent: SentSpan = {
      name: span.name,
      kind: span.kind,
      context: { traceId, spanId, traceFlags, isRemote: isRemote === true },
      ...(span.parentSpanContext !== undefined && { parentSpanContext: plain(span.parentSpanContext) }),
      startTime: span.startTime,
      endTime: span.endTime,
      status: span.status,
      attributes: { ...span.attributes, 'thread.id': threadId },
      links: span.links.map((link) => ({ ...link, context: plain(link.context) })),
      events: span.events,
      duration: span.duration,
      ended: span.ended,
      instrumentationScope: span.instrumentationScope,
      droppedAttributesCount: span.droppedAttributesCount,
      droppedEventsCount: span.droppedEventsCount,
      droppedLinksCount: span.droppedLinksCount,
    } as SentSpan
    try {
      this.#channel.postMessage(sent)
    } catch {
      // Something in it cannot be cloned.
      selfHealth.caught('span')
    }
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {
    this.#channel.close()
  }
}

/** A span context may carry a TraceState, whose class does not cross. */
function plain({ traceId, spanId, traceFlags }: ReturnType<ReadableSpan['spanContext']>) {
  return { traceId, spanId, traceFlags, isRemote: false }
}

/** In the main thread: treats the spans of worker threads as its own. */
export function receiveSpans(processors: SpanProcessor[]): void {
  if (processors.length === 0) return
  const own = new ResourceOfOwnSpans()
  const receivers = [...processors]
  processors.unshift(own)
  const channel = new BroadcastChannel(CHANNEL)
  ;(channel as unknown as { unref(): void }).unref()
  channel.onmessage = (event: unknown) => {
    const { context, ...rest } = (event as { data: SentSpan }).data
    if (own.resource === undefined) return
    const span = { ...rest, resource: own.resource, spanContext: () => context } as ReadableSpan
    for (const processor of receivers) processor.onEnd(span)
  }
}

/** Learns the resource of this process from its first span; a thread has work only from a span of this process. */
class ResourceOfOwnSpans implements SpanProcessor {
  resource: ReadableSpan['resource'] | undefined

  onStart(span: { resource?: ReadableSpan['resource'] }, _context: Context): void {
    this.resource ??= span.resource
  }

  onEnd(): void {}
  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {}
}
