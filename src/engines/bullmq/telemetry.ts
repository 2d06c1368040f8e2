import {
  type Context,
  context,
  createContextKey,
  propagation,
  ROOT_CONTEXT,
  type TracerProvider,
  trace,
} from '@opentelemetry/api'
import type { Telemetry } from 'bullmq'
import { checkObject } from '../../model/check.ts'
import { SCOPE } from '../../telemetry/catalogue.ts'
import { selfHealth } from '../../telemetry/self-health.ts'
import { parseTraceparent } from '../../telemetry/traceparent.ts'
import { carrierOf, metadataOf } from './metadata.ts'
import { BullMQSpan, type HookSpan, isWorthASpan, NO_SPAN } from './telemetry-spans.ts'

/** Options of `telemetry`. */
export interface BullMQTelemetryOptions {
  /** Where spans go. Default: the global provider, whenever it is registered. */
  tracerProvider?: TracerProvider
}

/** What was made by `telemetry()`. */
const OURS = new WeakSet<object>()
/** Set where BullMQ asks for a span that is worth none: nothing is to travel with the job from there. */
const WITHOUT_SPAN = createContextKey('afterspan.bullmq.without-span')

/**
 * What a Queue, a FlowProducer or a Worker of BullMQ's takes as its `telemetry`: a PRODUCER span `send {queue}` for what is added,
 * a CONSUMER span `process {queue}` for each attempt, in a trace of its own that is linked to it, and none for what BullMQ does
 * to keep house. The context travels where `bullmq-otel` has it, so that either can be at the other end. For metrics, and for
 * what went wrong in an attempt, make the worker with `createWorker`.
 *
 * BullMQ lets an error of its telemetry stall the job. None comes from here: it is counted in `afterspan.telemetry.caught`.
 *
 * @throws AfterspanError ERR_AFTERSPAN_OPTION.
 */
export function telemetry(options?: BullMQTelemetryOptions): Telemetry<Context> {
  const given = checkObject('options', options, ['tracerProvider'])
  const tracerOf = () => (given.tracerProvider ?? trace.getTracerProvider()).getTracer(SCOPE)
  const made: Telemetry<Context> = {
    tracer: {
      startSpan: (name, _options, parent) =>
        hooksOf(isWorthASpan(name) ? new BullMQSpan(tracerOf, name, parent) : NO_SPAN),
    },
    contextManager: {
      with: (active, run) => runIn(active, run),
      active: () => guarded(() => context.active(), ROOT_CONTEXT),
      root: () => ROOT_CONTEXT,
      getMetadata: (active: Context) =>
        guarded(() => (active.getValue(WITHOUT_SPAN) === true ? '' : metadataOf(active)), ''),
      fromMetadata: (active: Context, metadata) => guarded(() => contextOf(active, metadata), active),
    },
  }
  OURS.add(made)
  return made
}

/** Whether it is of this package. */
export function isOurTelemetry(given: object | undefined): boolean {
  return given !== undefined && OURS.has(given)
}

/** The span as BullMQ uses it: none of its methods throws. */
function hooksOf(span: HookSpan): ReturnType<Telemetry<Context>['tracer']['startSpan']> {
  return {
    setSpanOnContext: (active: Context) =>
      guarded(() => {
        const own = span.span()
        if (own === undefined) return active.setValue(WITHOUT_SPAN, true)
        return trace.setSpan(active.deleteValue(WITHOUT_SPAN), own)
      }, active),
    setAttribute: (name, value) => guarded(() => span.setAttributes({ [name]: value }), undefined),
    setAttributes: (attributes) => guarded(() => span.setAttributes(attributes), undefined),
    addEvent: (name, attributes) => guarded(() => span.addEvent(name, attributes ?? {}), undefined),
    recordException: (exception) => guarded(() => span.recordException(exception), undefined),
    end: () => guarded(() => span.end(), undefined),
  }
}

/** The context of whoever has added the job, or the active one without a span where that is not known. */
function contextOf(active: Context, metadata: string): Context {
  const carrier = carrierOf(metadata) ?? {}
  const base = trace.deleteSpan(active)
  const sent = guarded(() => propagation.extract(base, carrier), base)
  if (trace.getSpanContext(sent) !== undefined) return sent
  // Without a propagator the trace goes on nevertheless.
  const sender = parseTraceparent(carrier.traceparent)
  return sender === undefined ? sent : trace.setSpanContext(sent, sender)
}

/** Runs it in the context, or, where the context manager throws, without; once in any case. */
function runIn<R>(active: Context, run: () => R): R {
  let runs = false
  try {
    return context.with(active, () => {
      runs = true
      return run()
    })
  } catch (error) {
    if (runs) throw error
    selfHealth.caught('span')
    return run()
  }
}

function guarded<T>(action: () => T, otherwise: T): T {
  try {
    return action()
  } catch {
    selfHealth.caught('span')
    return otherwise
  }
}
