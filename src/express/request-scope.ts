import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { SpanContext } from '@opentelemetry/api'
import type { Foreground } from '../background/foreground.ts'
import { type Ending, requestSpanContext, rpcMetadata, type Scope, type Waiting } from '../background/scope.ts'
import type { Clock } from '../model/clock.ts'
import type { Origin } from '../model/origin.ts'

/** What Express adds to a request, as far as it is needed here. */
interface RoutedRequest extends IncomingMessage {
  readonly baseUrl?: string
  readonly route?: { readonly path?: unknown }
}

const SCOPE = Symbol('afterspan.scope')

/**
 * Not `res.on`: OpenTelemetry's context manager has replaced that one with its own, which binds each listener to the context,
 * at a cost of microseconds each. These listeners need no context, since every deferral carries its own.
 */
const { on } = EventEmitter.prototype

/**
 * One request: the origin of what is deferred in it, and the moment at which its response is over.
 *
 * The response is over, once, by whichever of these comes first: `finish`; `close` of the response, when the client went
 * away or the response was destroyed; `close` of the request with its socket destroyed, which is all that a pipelined
 * request gets whose predecessor ended the connection.
 */
export class RequestScope implements Scope, Origin {
  static of(req: IncomingMessage): RequestScope | undefined {
    return (req as { [SCOPE]?: RequestScope })[SCOPE]
  }

  readonly spanContext: SpanContext | undefined
  readonly since: number
  readonly method: string | undefined
  endedAt: number | undefined = undefined
  readonly #clock: Clock
  readonly #foreground: Foreground
  readonly #started: number
  readonly #rpc = rpcMetadata()
  #req: RoutedRequest | undefined
  #route: string | undefined
  #waiting: Waiting[] | undefined = []

  constructor(req: RoutedRequest, res: ServerResponse, clock: Clock, foreground: Foreground) {
    this.#clock = clock
    this.#foreground = foreground
    this.#started = foreground.requestStarted()
    this.#req = req
    this.since = clock.now()
    this.method = req.method
    this.spanContext = requestSpanContext()
    // Assigned, not defined: a property with attributes of its own makes every later access to the request slower.
    ;(req as { [SCOPE]?: RequestScope })[SCOPE] = this
    on.call(res, 'finish', () => this.#over(res.statusCode >= 500 ? 'errored' : 'finished'))
    on.call(res, 'close', () => this.#over(closing(req, res)))
    on.call(req, 'close', () => {
      if (req.socket.destroyed) this.#over(closing(req, res))
    })
  }

  get origin(): Origin {
    return this
  }

  get response(): { add(waiting: Waiting): void } | undefined {
    return this.#waiting === undefined ? undefined : { add: (waiting) => this.#waiting!.push(waiting) }
  }

  get route(): string | undefined {
    return this.#rpc?.route || this.#route || (this.#req === undefined ? undefined : routeOf(this.#req))
  }

  #over(ending: Ending): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    this.#waiting = undefined
    this.endedAt = this.#clock.now()
    this.#foreground.requestEnded(this.#started, ending === 'finished' ? this.endedAt - this.since : undefined)
    // The request itself, with its body, must not live as long as its tasks do.
    this.#route = routeOf(this.#req!)
    this.#req = undefined
    for (const one of waiting) one.responseOver(ending)
  }
}

/** What Node says of a connection that the client ended. */
const CLIENT_LEFT = ['ECONNRESET', 'EPIPE']

/**
 * How a response was over at its `close`. `res.destroy(error)` says so by `errored`. A client that goes away ends or resets
 * its side of the socket first; where it did not, this side has destroyed the response, as Express' own handler does with an
 * error after the headers.
 */
function closing(req: IncomingMessage, res: ServerResponse): Ending {
  if (res.writableFinished) return res.statusCode >= 500 ? 'errored' : 'finished'
  const { code } = (res.errored ?? {}) as NodeJS.ErrnoException
  if (res.errored != null && !CLIENT_LEFT.includes(code ?? '')) return 'errored'
  return req.socket.readableEnded || req.socket.errored != null ? 'aborted' : 'errored'
}

/** The route by Express' own properties, for apps that are not traced. */
function routeOf(req: RoutedRequest): string | undefined {
  const path = req.route?.path
  return typeof path === 'string' ? (req.baseUrl ?? '') + path || '/' : undefined
}
