import type { SpanContext } from '@opentelemetry/api'

/** The request in which a task was deferred. */
export interface Origin {
  /** Of its SERVER span; undefined where the app is not traced. */
  readonly spanContext: SpanContext | undefined
  readonly method: string | undefined
  /** The matched route with its router's mount path, such as `/users/:id/orders`; known once a route has matched. */
  readonly route: string | undefined
  /** When its response was over, clock ms; undefined as long as it is not. */
  readonly endedAt: number | undefined
}
