import {
  type BatchObservableResult,
  createNoopMeter,
  type Histogram,
  type MeterProvider,
  metrics,
  type Observable,
} from '@opentelemetry/api'
import type { Depth } from '../model/engine.ts'
import { ENGINE_STATES, PRIORITIES, type Priority } from '../model/words.ts'
import { BYTES_BUCKETS, METRICS, type MetricKey, SCOPE, SECONDS_BUCKETS } from './catalogue.ts'
import { selfHealth } from './self-health.ts'
import { TaskTally } from './tally.ts'

/** What a live `createTasks` tells when metrics are collected. */
export interface GaugeSource {
  limit(): number
  used(): number
  /** Label and age in ms of the oldest ready task, of every task. */
  oldest(): Iterable<readonly [label: string, age: number]>
  /** What the engines hold, of every task that runs on one. */
  engines(): Iterable<readonly [label: string, reading: EngineReading]>
  /** undefined where there is none. */
  governor(): GovernorReading | undefined
  heapGuarded(): boolean
}

export interface GovernorReading {
  /** Seconds. */
  readonly delay: number
  readonly limits: Readonly<Record<Priority, number>>
}

export interface EngineReading {
  /** How many attempts this process may run at once. */
  readonly concurrency: number
  /** It has answered of late. */
  readonly up: boolean
  readonly depth: Depth | undefined
}

/** How often to look whether the app has registered a MeterProvider by now, ms. */
const LOOK_AGAIN = 1_000

const HISTOGRAMS = ['wait', 'duration', 'effect', 'heap', 'blocked', 'undeclared', 'loopDelay', 'request'] as const
type HistogramKey = (typeof HISTOGRAMS)[number]
type ObservableKey = Exclude<MetricKey, HistogramKey>

interface Instruments extends Readonly<Record<HistogramKey, Histogram>> {
  readonly provider: MeterProvider
}

/**
 * The counts of all tasks that report to one MeterProvider, and its instruments. Several `createTasks` in a process share
 * a registry, so that tasks of one name are one series.
 *
 * OpenTelemetry's meter is not a proxy: an instrument made before a provider is registered stays without effect for ever.
 * So the registry of the global provider makes its instruments anew when it finds that provider changed.
 */
export class MetricRegistry {
  static readonly #ofProvider = new WeakMap<MeterProvider, MetricRegistry>()
  static #global: MetricRegistry | undefined

  /** The registry of a provider; without one, of the global provider, whichever that is at the time. */
  static for(provider: MeterProvider | undefined): MetricRegistry {
    if (provider === undefined) {
      MetricRegistry.#global ??= new MetricRegistry(undefined)
      return MetricRegistry.#global
    }
    let registry = MetricRegistry.#ofProvider.get(provider)
    if (registry === undefined) {
      registry = new MetricRegistry(provider)
      MetricRegistry.#ofProvider.set(provider, registry)
    }
    return registry
  }

  readonly sources = new Set<GaugeSource>()
  readonly #fixed: MeterProvider | undefined
  readonly #tallies = new Map<string, TaskTally>()
  #instruments: Instruments

  private constructor(provider: MeterProvider | undefined) {
    this.#fixed = provider
    this.#instruments = this.#make(provider ?? metrics.getMeterProvider())
    if (provider === undefined) this.#awaitProvider()
  }

  tally(label: string): TaskTally {
    let tally = this.#tallies.get(label)
    if (tally === undefined) {
      tally = new TaskTally(label)
      this.#tallies.set(label, tally)
    }
    return tally
  }

  /** The instruments of the provider that is registered now. */
  get instruments(): Instruments {
    if (this.#fixed === undefined) {
      const provider = metrics.getMeterProvider()
      if (provider !== this.#instruments.provider) this.#instruments = this.#make(provider)
    }
    return this.#instruments
  }

  #awaitProvider(): void {
    const timer = setInterval(() => {
      if (!isNoop(this.instruments.provider)) clearInterval(timer)
    }, LOOK_AGAIN)
    timer.unref()
  }

  #make(provider: MeterProvider): Instruments {
    const meter = provider.getMeter(SCOPE)
    const histogram = (key: MetricKey) => {
      const { name, unit, description } = METRICS[key]
      return meter.createHistogram(name, {
        unit,
        description,
        advice: { explicitBucketBoundaries: [...(unit === 'By' ? BYTES_BUCKETS : SECONDS_BUCKETS)] },
      })
    }
    const observables = {} as Record<ObservableKey, Observable>
    for (const [key, { name, unit, description, kind }] of Object.entries(METRICS)) {
      if (kind === 'counter')
        observables[key as ObservableKey] = meter.createObservableCounter(name, { unit, description })
      if (kind === 'updown')
        observables[key as ObservableKey] = meter.createObservableUpDownCounter(name, { unit, description })
      if (kind === 'gauge') observables[key as ObservableKey] = meter.createObservableGauge(name, { unit, description })
    }
    meter.addBatchObservableCallback((result) => this.#observe(result, observables), Object.values(observables))
    const histograms = Object.fromEntries(HISTOGRAMS.map((key) => [key, histogram(key)]))
    return { provider, ...(histograms as Record<HistogramKey, Histogram>) }
  }

  #observe(result: BatchObservableResult, to: Record<ObservableKey, Observable>): void {
    const ages = this.#ages()
    for (const [label, tally] of this.#tallies) {
      const { attributes } = tally.deferred
      result.observe(to.deferred, tally.deferred.value, attributes)
      for (const { value, attributes } of Object.values(tally.finished)) result.observe(to.finished, value, attributes)
      for (const { value, attributes } of tally.allAttempts()) result.observe(to.attempts, value, attributes)
      for (const { value, attributes } of Object.values(tally.pending)) result.observe(to.pending, value, attributes)
      result.observe(to.zombies, tally.zombies.value, attributes)
      result.observe(to.deduplicated, tally.deduplicated.value, attributes)
      result.observe(to.retriesRefused, tally.retriesRefused.value, attributes)
      if (tally.engine !== undefined) {
        result.observe(to.taken, tally.engine.taken.value, attributes)
        result.observe(to.returned, tally.engine.returned.value, attributes)
        result.observe(to.redelivered, tally.engine.redelivered.value, attributes)
        result.observe(to.lost, tally.engine.lost.value, attributes)
      }
      if (tally.cpu !== undefined) result.observe(to.cpu, tally.cpu.value, tally.cpu.attributes)
      result.observe(to.oldest, (ages.get(label) ?? 0) / 1000, attributes)
    }
    this.#observeEngines(result, to)
    this.#observeBrakes(result, to)
    let limit = 0
    let used = 0
    for (const source of this.sources) {
      limit += source.limit()
      used += source.used()
    }
    result.observe(to.limit, limit)
    result.observe(to.used, used)
    result.observe(to.uptime, process.uptime())
    for (const { metric, reason, count } of selfHealth.entries()) result.observe(to[metric], count, { reason })
  }

  #observeEngines(result: BatchObservableResult, to: Record<ObservableKey, Observable>): void {
    const readings = new Map<string, EngineReading>()
    for (const source of this.sources) {
      for (const [label, { concurrency, up, depth }] of source.engines()) {
        const known = readings.get(label)
        readings.set(label, {
          concurrency: concurrency + (known?.concurrency ?? 0),
          up: up && known?.up !== false,
          depth: depth ?? known?.depth,
        })
      }
    }
    for (const [label, { concurrency, up, depth }] of readings) {
      const { attributes } = this.tally(label).deferred
      result.observe(to.engineUp, up ? 1 : 0, attributes)
      result.observe(to.engineConcurrency, concurrency, attributes)
      if (depth === undefined) continue
      for (const state of ENGINE_STATES) {
        result.observe(to.engineJobs, depth[state], { ...attributes, 'engine.state': state })
      }
      result.observe(to.engineOldest, depth.oldest, attributes)
    }
  }

  #observeBrakes(result: BatchObservableResult, to: Record<ObservableKey, Observable>): void {
    const sources = [...this.sources]
    result.observe(to.heapGuarded, sources.some((source) => source.heapGuarded()) ? 1 : 0)
    const governors = sources.flatMap((source) => source.governor() ?? [])
    if (governors.length === 0) return
    result.observe(to.governorDelay, Math.max(...governors.map(({ delay }) => delay)))
    for (const priority of PRIORITIES) {
      const limit = governors.reduce((sum, { limits }) => sum + limits[priority], 0)
      result.observe(to.governorLimit, limit, { 'task.priority': priority })
    }
  }

  #ages(): Map<string, number> {
    const ages = new Map<string, number>()
    for (const source of this.sources) {
      for (const [label, age] of source.oldest()) ages.set(label, Math.max(ages.get(label) ?? 0, age))
    }
    return ages
  }
}

function isNoop(provider: MeterProvider): boolean {
  return provider.getMeter(SCOPE) === createNoopMeter()
}
