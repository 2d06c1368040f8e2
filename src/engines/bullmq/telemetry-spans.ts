import {
  type Attributes,
  type Context,
  context,
  type Span,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { describeError } from '../../model/describe-error.ts'
import { clean } from '../../telemetry/names.ts'

/** What BullMQ does with a span, as far as it is worth something. */
export interface HookSpan {
  /** undefined where there is none. */
  span(): Span | undefined
  setAttributes(attributes: Readonly<Record<string, unknown>>): void
  addEvent(name: string, attributes: Readonly<Record<string, unknown>>): void
  recordException(exception: unknown): void
  end(): void
}

/** How an operation of BullMQ's is told, in the words of OpenTelemetry's semantic conventions for messaging. */
interface Telling {
  readonly kind: SpanKind
  /** `messaging.operation.type`; undefined for what is none. */
  readonly type: 'create' | 'send' | 'process' | undefined
}

const command: Telling = { kind: SpanKind.INTERNAL, type: undefined }

/**
 * The operations that are worth a span: what puts jobs into a queue, what runs one, and the commands of an app or its operator
 * that change which jobs will run. All others come with every job or with time (`complete`, `delay`, `retry`, `fail`,
 * `extendLocks`, `moveStalledJobsToWait`, `getNextJob`, …): they would bury these, and each would be a trace of its own.
 *
 * A flow is one call to Redis that sends jobs which were made before: `send {queue}` with `create {queue}` for each of them.
 */
const WORTH_A_SPAN: Readonly<Record<string, Telling>> = {
  add: { kind: SpanKind.PRODUCER, type: 'send' },
  addBulk: { kind: SpanKind.PRODUCER, type: 'send' },
  addFlow: { kind: SpanKind.CLIENT, type: 'send' },
  addBulkFlows: { kind: SpanKind.CLIENT, type: 'send' },
  addNode: { kind: SpanKind.PRODUCER, type: 'create' },
  process: { kind: SpanKind.CONSUMER, type: 'process' },
  ...{ pause: command, resume: command, rateLimit: command, drain: command, clean: command, obliterate: command },
  ...{ retryJobs: command, promoteJobs: command, remove: command },
}

/** Of BullMQ's attributes those that are no payload, by the name that the semantic conventions have for them. */
const ATTRIBUTES: Readonly<Record<string, string>> = {
  'bullmq.job.id': 'messaging.message.id',
  'bullmq.job.name': 'bullmq.job.name',
  'bullmq.job.bulk.count': 'messaging.batch.message_count',
  'bullmq.worker.id': 'messaging.client.id',
}

/** @param name As BullMQ has it: the operation, and after a blank its destination, if it has one. */
export function isWorthASpan(name: string): boolean {
  return Object.hasOwn(WORTH_A_SPAN, operationOf(name))
}

/** Stands in for a span that is worth none. */
export const NO_SPAN: HookSpan = {
  span: () => undefined,
  setAttributes() {},
  addEvent() {},
  recordException() {},
  end() {},
}

/** The span of one operation. It starts when BullMQ tells its queue, which the name it gives at first does not. */
export class BullMQSpan implements HookSpan {
  readonly #tracer: () => Tracer
  readonly #operation: string
  readonly #telling: Telling
  readonly #parent: Context | undefined
  #span: Span | undefined

  /** @param parent The context that has travelled with the job; undefined where it has none. */
  constructor(tracer: () => Tracer, name: string, parent: Context | undefined) {
    this.#tracer = tracer
    this.#operation = operationOf(name)
    this.#telling = WORTH_A_SPAN[this.#operation]!
    this.#parent = parent
  }

  span(): Span {
    return this.#started(undefined)
  }

  setAttributes(attributes: Readonly<Record<string, unknown>>): void {
    const span = this.#started(attributes['bullmq.queue.name'])
    for (const [name, value] of Object.entries(attributes)) {
      const ours = ATTRIBUTES[name]
      if (ours === undefined || (typeof value !== 'string' && typeof value !== 'number')) continue
      span.setAttribute(ours, typeof value === 'string' ? clean(value) : value)
    }
  }

  /** BullMQ tells by an event how an attempt has ended; of a failure only the message. */
  addEvent(name: string, attributes: Readonly<Record<string, unknown>>): void {
    if (name !== 'job failed') return
    const { message } = describeError(new Error(String(attributes['bullmq.job.failed.reason'] ?? '')))
    const span = this.span()
    span.setAttribute('error.type', '_OTHER')
    span.setStatus({ code: SpanStatusCode.ERROR, message })
    span.addEvent('exception', { 'exception.message': message })
  }

  recordException(exception: unknown): void {
    const { type, message, stack } = describeError(exception)
    const span = this.span()
    span.recordException(stack === undefined ? { name: type, message } : { name: type, message, stack })
    // A text is what it has of a move that it tries again.
    if (typeof exception === 'string') return
    span.setAttribute('error.type', type)
    span.setStatus({ code: SpanStatusCode.ERROR, message })
  }

  end(): void {
    this.span().end()
  }

  #started(queue: unknown): Span {
    this.#span ??= this.#start(typeof queue === 'string' ? clean(queue) : '')
    return this.#span
  }

  #start(queue: string): Span {
    const { kind, type } = this.#telling
    const operation = type ?? this.#operation
    const attributes: Attributes = { 'messaging.system': 'bullmq', 'messaging.operation.name': operation }
    if (type !== undefined) attributes['messaging.operation.type'] = type
    if (queue !== '') attributes['messaging.destination.name'] = queue
    const options: SpanOptions = { kind, attributes }
    const sender = this.#parent && trace.getSpanContext(this.#parent)
    if (type === 'process') {
      // Not in the trace of the sender: it would grow with each attempt, for days if need be.
      options.root = true
      if (sender !== undefined) options.links = [{ context: sender }]
    }
    const title = queue === '' ? operation : `${operation} ${queue}`
    return this.#tracer().startSpan(title, options, this.#parent ?? context.active())
  }
}

function operationOf(name: string): string {
  return name.split(' ', 1)[0]!
}
