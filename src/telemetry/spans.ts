import {
  type Attributes,
  type Context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace,
} from '@opentelemetry/api'
import { describeError } from '../model/describe-error.ts'
import type { Origin } from '../model/origin.ts'
import type { Place } from '../model/profiler.ts'
import type { AttemptEnd } from '../model/seam.ts'
import type { Outcome, Priority, Relation } from '../model/words.ts'
import { SCOPE } from './catalogue.ts'
import { clean } from './names.ts'
import { traceparentOf } from './traceparent.ts'

/** What the spans need to know of a deferral; `trace` is theirs to keep. */
export interface Traced {
  readonly id: string
  readonly priority: Priority
  readonly relation: Relation
  /** ms. */
  readonly delay: number
  /** From 1. */
  readonly attempt: number
  /** Of the current attempt, ms. */
  readonly wait: number
  readonly origin: Origin | undefined
  /** The span that the deferral hangs on: the SERVER span, or that of the attempt in which it was deferred. */
  readonly parent: SpanContext | undefined
  /** The context in which it was deferred. */
  readonly context: Context
  readonly trace: Trace
  /** Why it did not complete, or was not accepted. */
  readonly error: unknown
  /** Of the engine that runs it; undefined where this process does. */
  readonly queue: MessagingQueue | undefined
  /** A process had taken it from its engine before, and never said how it ended. */
  readonly redelivered: boolean
  /** By how much the clock of the process that sent it was ahead, at least, ms; 0 where that did not show. */
  readonly skew: number
}

/** Where a message goes or comes from, in the words of OpenTelemetry's semantic conventions for messaging. */
export interface MessagingQueue {
  /** `messaging.system`. */
  readonly system: string
  /** `messaging.destination.name`. */
  readonly name: string
}

/** The spans of one deferral. */
export class Trace {
  /** The task's name as it stands in telemetry. */
  readonly name: string
  /** The running attempt. */
  attempt: Span | undefined = undefined
  /** The attempt before, or after the last one that. */
  previous: SpanContext | undefined = undefined
  /** The span from `defer()` to the start, as long as it is open. */
  waiting: Span | undefined = undefined
  /** What a linked attempt is linked to: the `defer` span. */
  asked: SpanContext | undefined = undefined
  /** The span of the attempt is that of others too. */
  batch: BatchTrace | undefined = undefined

  constructor(name: string) {
    this.name = name
  }
}

/** The one span of attempts that run together. */
interface BatchTrace {
  readonly span: Span
  /** How many of the attempts have not ended. */
  open: number
  failed: number
  result: AttemptEnd['result']
}

/** A `defer` span is closed when the start is further away than this, ms: an open span is invisible in Jaeger. */
export const LONGEST_DEFER_SPAN = 60_000

/**
 * The spans that a deferral leaves behind, by its relation to the origin:
 *
 * - child: `task {name}`, one per attempt, under the SERVER span.
 * - link: `defer {name}` in the origin's trace from `defer()` to the start; each attempt is the root of a trace of its own,
 *   linked to it. Jaeger shows no back-links, so the origin's trace carries one too: on the `defer` span for the first
 *   attempt, on a short `started {name}` span for later ones, or when the `defer` span is closed already.
 * - none: each attempt is the root of a trace of its own.
 *
 * An attempt after the first is linked to the one before it and never nested in it.
 *
 * - link over an engine: `send {queue}` (PRODUCER) in the origin's trace until the engine has it; in the process that runs it each
 *   attempt is `process {queue}` (CONSUMER), the root of a trace of its own and linked to it, and a short `started {name}` in
 *   the origin's trace links back.
 *
 * Jobs that run together have one span, `task {name}`: the root of a trace of its own, linked to what each of them was asked
 * by (and to its attempt before), and each of them links back.
 */
export class Spans {
  readonly #tracer: Tracer

  constructor(provider: TracerProvider | undefined) {
    this.#tracer = (provider ?? trace.getTracerProvider()).getTracer(SCOPE)
  }

  deferred(job: Traced): void {
    if (job.queue !== undefined) {
      this.#send(job, job.queue)
      return
    }
    if (job.relation !== 'link' || job.parent === undefined) return
    const span = this.#tracer.startSpan(
      `defer ${job.trace.name}`,
      { attributes: attributesOf(job) },
      under(job.context, job.parent),
    )
    job.trace.asked = span.spanContext()
    if (job.delay > LONGEST_DEFER_SPAN) span.end()
    else job.trace.waiting = span
  }

  #send(job: Traced, queue: MessagingQueue): void {
    const attributes = { ...attributesOf(job), ...messaging('send', queue, job.id) }
    if (job.delay > 0) attributes['task.delay'] = job.delay / 1000
    const options = { kind: SpanKind.PRODUCER, attributes }
    job.trace.waiting = this.#tracer.startSpan(`send ${clean(queue.name)}`, options, under(job.context, job.parent))
  }

  /** W3C trace context and baggage of the `send` span. */
  carrier(job: Traced): Record<string, string> {
    const carrier: Record<string, string> = {}
    const { waiting } = job.trace
    if (waiting === undefined) return carrier
    propagation.inject(trace.setSpan(job.context, waiting), carrier)
    // Where no propagator is registered.
    const traceparent = carrier.traceparent ?? traceparentOf(waiting.spanContext())
    if (traceparent !== undefined) carrier.traceparent = traceparent
    return carrier
  }

  /** A running attempt has lost its lock in the engine. */
  lost(job: Traced): void {
    job.trace.attempt?.setAttribute('task.lock_lost', true)
    job.trace.attempt?.addEvent('lock lost', { 'task.id': job.id })
  }

  /** The running attempt has held the event loop. The names are those of the semantic conventions for source code. */
  blocked(job: Traced, seconds: number, place: Place | undefined): void {
    const attributes: Attributes = { 'task.id': job.id, 'task.blocked': seconds }
    if (place !== undefined) attributes['code.function.name'] = place.name
    if (place?.file !== undefined) attributes['code.file.path'] = place.file
    if (place?.line !== undefined) attributes['code.line.number'] = place.line
    job.trace.attempt?.addEvent('event loop blocked', attributes)
  }

  /** Ends a `defer` span whose task has not started, because it waits too long or because it never will. */
  gaveUpWaiting(job: Traced, outcome?: Outcome): void {
    const { waiting } = job.trace
    if (outcome !== undefined) waiting?.setAttribute('task.outcome', outcome)
    if (outcome === 'dropped' && waiting?.isRecording()) {
      const { type, message } = describeError(job.error)
      waiting.setAttribute('error.type', type)
      waiting.setStatus({ code: SpanStatusCode.ERROR, message })
    }
    waiting?.end()
    job.trace.waiting = undefined
  }

  /** Tells the request's own trace of a task that will leave no span. */
  dropped(job: Traced, error: unknown): void {
    trace.getSpan(job.context)?.addEvent('task dropped', {
      'task.name': job.trace.name,
      'task.id': job.id,
      reason: describeError(error).message,
    })
  }

  batchStarted(jobs: readonly Traced[]): void {
    const first = jobs[0]!
    const links: Link[] = []
    for (const job of jobs) {
      const attributes = { 'task.id': job.id, 'task.attempt': job.attempt }
      const origin = job.relation === 'link' ? (job.trace.asked ?? job.parent) : undefined
      if (origin !== undefined) links.push({ context: origin, attributes })
      if (job.trace.previous !== undefined) links.push({ context: job.trace.previous, attributes })
    }
    const attributes = {
      'task.name': first.trace.name,
      'task.priority': first.priority,
      'task.batch.size': jobs.length,
      'task.wait': Math.max(...jobs.map(({ wait }) => wait)) / 1000,
    }
    const span = this.#tracer.startSpan(`task ${first.trace.name}`, { root: true, attributes, links })
    const batch: BatchTrace = { span, open: jobs.length, failed: 0, result: 'ok' }
    for (const { trace } of jobs) trace.batch = batch
  }

  attemptStarted(job: Traced): void {
    const { name, previous, asked, batch } = job.trace
    if (batch !== undefined) {
      job.trace.attempt = batch.span
      if (job.relation === 'link') this.#linkBack(job, batch.span.spanContext())
      return
    }
    const attributes = attributesOf(job)
    attributes['task.attempt'] = job.attempt
    attributes['task.wait'] = job.wait / 1000
    const options: SpanOptions = { attributes }
    if (job.queue !== undefined) {
      Object.assign(attributes, messaging('process', job.queue, job.id))
      options.kind = SpanKind.CONSUMER
      if (job.redelivered) attributes['task.redelivered'] = true
      if (job.skew > 0) attributes['task.clock_skew'] = job.skew / 1000
    }
    const links: Link[] | undefined = job.relation === 'link' || previous !== undefined ? [] : undefined
    if (links !== undefined) {
      const origin = asked ?? job.parent
      if (job.relation === 'link' && origin !== undefined) links.push({ context: origin })
      if (previous !== undefined) links.push({ context: previous })
      options.links = links
    }
    if (job.relation !== 'child') options.root = true
    const context = job.relation === 'child' ? under(job.context, job.parent) : job.context
    const title = job.queue === undefined ? `task ${name}` : `process ${clean(job.queue.name)}`
    const span = this.#tracer.startSpan(title, options, context)
    job.trace.attempt = span
    if (job.relation === 'link') this.#linkBack(job, span.spanContext())
  }

  /** The context in which the handler of the running attempt is called. */
  contextOf(job: Traced): Context {
    const span = job.trace.attempt
    return span === undefined ? job.context : trace.setSpan(job.context, span)
  }

  contextOfBatch(job: Traced): Context {
    const span = job.trace.attempt
    return span === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, span)
  }

  attemptEnded(job: Traced, end: AttemptEnd, errorType: string | undefined): void {
    const span = job.trace.attempt
    if (span === undefined) return
    job.trace.attempt = undefined
    job.trace.previous = span.spanContext()
    if (job.trace.batch !== undefined) {
      this.#batchItemEnded(job, job.trace.batch, end, errorType)
      return
    }
    span.setAttribute('task.result', end.result)
    if (errorType !== undefined && span.isRecording()) {
      const { message, stack } = describeError(end.error)
      span.setAttribute('error.type', errorType)
      span.setStatus({ code: SpanStatusCode.ERROR, message })
      // A plain object of strings: the SDK reads an exception's properties without care.
      span.recordException(stack === undefined ? { name: errorType, message } : { name: errorType, message, stack })
    }
    span.end()
  }

  /** A failed item is an event with its id; the span ends with the last item, and is as bad as the worst of them. */
  #batchItemEnded(job: Traced, batch: BatchTrace, end: AttemptEnd, errorType: string | undefined): void {
    const { span } = batch
    job.trace.batch = undefined
    batch.open--
    if (end.result !== 'ok' && batch.result !== 'error') batch.result = end.result
    if (errorType !== undefined && span.isRecording()) {
      batch.failed++
      const { message, stack } = describeError(end.error)
      span.setAttribute('error.type', errorType)
      span.addEvent('exception', {
        'task.id': job.id,
        'exception.type': errorType,
        'exception.message': message,
        ...(stack !== undefined && { 'exception.stacktrace': stack }),
      })
      span.setStatus({ code: SpanStatusCode.ERROR, message: `${batch.failed} failed, the last: ${message}` })
    }
    if (batch.open > 0) return
    span.setAttribute('task.result', batch.result)
    span.setAttribute('task.batch.failed', batch.failed)
    span.end()
  }

  #linkBack(job: Traced, attempt: SpanContext): void {
    const { waiting } = job.trace
    if (waiting !== undefined) {
      waiting.addLink({ context: attempt })
      waiting.end()
      job.trace.waiting = undefined
    } else if (job.parent !== undefined) {
      const links = [{ context: attempt }]
      const attributes = attributesOf(job)
      attributes['task.attempt'] = job.attempt
      this.#tracer.startSpan(`started ${job.trace.name}`, { attributes, links }, under(job.context, job.parent)).end()
    }
  }
}

function messaging(operation: 'send' | 'process', queue: MessagingQueue, id: string): Attributes {
  return {
    'messaging.system': queue.system,
    'messaging.operation.name': operation,
    'messaging.operation.type': operation,
    'messaging.destination.name': clean(queue.name),
    'messaging.message.id': id,
  }
}

function attributesOf(job: Traced): Attributes {
  const attributes: Attributes = {
    'task.name': job.trace.name,
    'task.id': job.id,
    'task.priority': job.priority,
  }
  const origin = job.origin
  if (origin !== undefined) {
    if (origin.route !== undefined) attributes['http.route'] = origin.route
    if (origin.method !== undefined) attributes['http.request.method'] = origin.method
  }
  return attributes
}

/** The deferral's context with `parent` as its span. Most often it is that already, and a context is dear to copy. */
function under(context: Context, parent: SpanContext | undefined): Context {
  const active = trace.getSpan(context)
  if (parent === undefined) return active === undefined ? context : trace.deleteSpan(context)
  return active?.spanContext() === parent ? context : trace.setSpanContext(context, parent)
}
