import {
  type Attributes,
  type Context,
  isSpanContextValid,
  type Link,
  type SpanKind,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import type { Notice } from './notice.ts'
import { loadFromSdk } from './peers.ts'
import type { Sampler, SamplingResult } from './sdk-types.ts'

/** `SamplingDecision` of the SDK: not recorded; recorded and sampled. */
const NOT_RECORD = 0
const RECORD_AND_SAMPLED = 2

/**
 * Keeps linked traces together: a task that is the root of a trace of its own is sampled if, and only if, what its first
 * link points at (the deferral in the request's trace) is sampled. All other spans are left to the sampler it wraps.
 */
export class LinkedSampler implements Sampler {
  readonly #delegate: Sampler

  constructor(delegate: Sampler) {
    this.#delegate = delegate
  }

  shouldSample(
    context: Context,
    traceId: string,
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    links: Link[],
  ): SamplingResult {
    const origin = links[0]?.context
    if (
      origin !== undefined &&
      attributes['task.name'] !== undefined &&
      isSpanContextValid(origin) &&
      isRoot(context)
    ) {
      return { decision: (origin.traceFlags & TraceFlags.SAMPLED) === 0 ? NOT_RECORD : RECORD_AND_SAMPLED }
    }
    return this.#delegate.shouldSample(context, traceId, name, kind, attributes, links)
  }

  toString(): string {
    return `LinkedSampler{${this.#delegate}}`
  }
}

function isRoot(context: Context): boolean {
  const parent = trace.getSpanContext(context)
  return parent === undefined || !isSpanContextValid(parent)
}

/**
 * The sampler that `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` (a ratio, 0 to 1) name; `parentbased_always_on`
 * where they are unset or cannot be understood. NodeSDK reads them only when it is given no sampler.
 */
export function samplerFromEnvironment(env: NodeJS.ProcessEnv, notice: Notice): Sampler {
  const { AlwaysOffSampler, AlwaysOnSampler, ParentBasedSampler, TraceIdRatioBasedSampler } = loadFromSdk(
    '@opentelemetry/sdk-trace',
  ) as typeof import('@opentelemetry/sdk-trace')
  const name = env.OTEL_TRACES_SAMPLER?.trim() || 'parentbased_always_on'
  switch (name) {
    case 'always_on':
      return new AlwaysOnSampler()
    case 'always_off':
      return new AlwaysOffSampler()
    case 'traceidratio':
      return new TraceIdRatioBasedSampler(ratio(env, notice))
    case 'parentbased_always_off':
      return new ParentBasedSampler({ root: new AlwaysOffSampler() })
    case 'parentbased_traceidratio':
      return new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio(env, notice)) })
    case 'parentbased_always_on':
      break
    default:
      notice(
        `OTEL_TRACES_SAMPLER="${name}" is not a sampler of this SDK: all traces are sampled (parentbased_always_on).`,
      )
  }
  return new ParentBasedSampler({ root: new AlwaysOnSampler() })
}

function ratio(env: NodeJS.ProcessEnv, notice: Notice): number {
  const text = env.OTEL_TRACES_SAMPLER_ARG?.trim()
  if (text === undefined || text === '') return 1
  const value = Number(text)
  if (value >= 0 && value <= 1) return value
  notice(`OTEL_TRACES_SAMPLER_ARG="${text}" is not a ratio from 0 to 1: 1 is used.`)
  return 1
}
