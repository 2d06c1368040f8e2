import type {
  Context,
  MeterProvider,
  Span,
  SpanOptions,
  Tracer,
  TracerOptions,
  TracerProvider,
} from '@opentelemetry/api'
import * as api from '@opentelemetry/api'
import { loadFromSdk } from './peers.ts'

/** Whether a tracer or a meter provider is registered, by any copy and version 1.x of `@opentelemetry/api`. */
export function registeredProvider(): 'tracer' | 'meter' | undefined {
  const globals = (globalThis as Record<symbol, { trace?: unknown; metrics?: unknown } | undefined>)[
    Symbol.for('opentelemetry.js.api.1')
  ]
  if (globals?.trace !== undefined) return 'tracer'
  if (globals?.metrics !== undefined) return 'meter'
  return undefined
}

/**
 * A tracer provider that can be exchanged while tracers made by it are in use: instrumentations keep theirs for good, and
 * the API's own proxy binds a tracer at its first span.
 */
export class ExchangeableTracerProvider implements TracerProvider {
  #target: TracerProvider & { forceFlush?(): Promise<void>; shutdown?(): Promise<void> }
  #version = 0

  constructor(target: TracerProvider) {
    this.#target = target
  }

  exchange(target: TracerProvider): void {
    this.#target = target
    this.#version++
  }

  getTracer(name: string, version?: string, options?: TracerOptions): Tracer {
    let madeAt = -1
    let tracer: Tracer
    const current = (): Tracer => {
      if (madeAt !== this.#version) {
        tracer = this.#target.getTracer(name, version, options)
        madeAt = this.#version
      }
      return tracer
    }
    return {
      startSpan: (spanName: string, spanOptions?: SpanOptions, context?: Context): Span =>
        current().startSpan(spanName, spanOptions, context),
      startActiveSpan: (...args: unknown[]) => {
        const target = current()
        return Reflect.apply(target.startActiveSpan, target, args)
      },
    } as Tracer
  }

  async forceFlush(): Promise<void> {
    await this.#target.forceFlush?.()
  }

  async shutdown(): Promise<void> {
    await this.#target.shutdown?.()
  }
}

export interface HandOver {
  /** The app has registered this provider; ours is to end. */
  tracer(provider: TracerProvider): void
  meter(provider: MeterProvider): void
}

/**
 * Lets the app's own set-up win, though ours was first. OpenTelemetry refuses a second registration and says so only to
 * its diagnostics, which are off by default: the app's exporter would get nothing and nobody would know why.
 *
 * It works for the copies of `@opentelemetry/api` that are found from here and from the SDK, in both module formats.
 */
export function letAppTakeOver(handOver: HandOver): void {
  let tracerIsOurs = true
  let meterIsOurs = true
  let propagatorIsOurs = true
  let managerIsOurs = true
  for (const { trace, metrics, propagation, context } of new Set([
    api,
    loadFromSdk('@opentelemetry/api') as typeof api,
  ])) {
    before(trace, 'setGlobalTracerProvider', (provider: TracerProvider) => {
      if (!tracerIsOurs) return
      tracerIsOurs = false
      trace.disable()
      handOver.tracer(provider)
    })
    before(metrics, 'setGlobalMeterProvider', (provider: MeterProvider) => {
      if (!meterIsOurs) return
      meterIsOurs = false
      metrics.disable()
      handOver.meter(provider)
    })
    before(propagation, 'setGlobalPropagator', () => {
      if (propagatorIsOurs) propagation.disable()
      propagatorIsOurs = false
    })
    before(context, 'setGlobalContextManager', () => {
      if (managerIsOurs) context.disable()
      managerIsOurs = false
    })
  }
}

function before<T>(target: T, method: keyof T, first: (argument: never) => void): void {
  const original = target[method] as (argument: unknown) => boolean
  const patched = function (this: T, argument: unknown): boolean {
    first(argument as never)
    return original.call(this, argument)
  }
  target[method] = patched as T[keyof T]
}
