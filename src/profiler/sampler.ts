import { AfterspanError } from '../model/errors.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import { labelsPossible, loadPprof, notPossible } from './load.ts'
import type { Attempt, AttemptOwner, Sample } from './sample.ts'
import { LONGEST, SampleRing } from './sample-ring.ts'
import { StackTable } from './stacks.ts'
import { Window } from './window.ts'

type Time = ReturnType<typeof loadPprof>['time']

/** How often samples are fetched by themselves, ms. */
const FETCH = 10_000
/** For how long a loop that stands still may keep them from being fetched, ms; what comes later is lost. */
const LONGEST_STALL = 60_000

/** The label of the profiler's own work. */
const NOBODY = {}

/** Asks for samples; the highest rate of all that ask holds. */
export interface SamplerUse {
  stop(): void
}

/**
 * Interrupts this thread so many times a second, and keeps what it did then, labelled by attempt. One for the process.
 *
 * To begin walks the whole heap, about 1 ms for each MB in which the event loop stands still, and what runs
 * at that moment has no label until it ends. So a sampler that runs is left alone as long as nobody asks for a higher rate.
 */
export class Sampler {
  readonly ring = new SampleRing()
  readonly #stacks = new StackTable()
  readonly #uses = new Map<SamplerUse, number>()
  #time: Time | undefined
  #rate = 0
  #fetching: NodeJS.Timeout | undefined
  /** `performance.now()` up to which attempts that are over have let go of their jobs; of the latest fetch by itself. */
  #heldUntil = 0
  #fetchedAt = 0
  #lastRate = 0
  #beginTook = 0
  /** ms; undefined where Node cannot tell. */
  #cpuBefore: number | undefined
  #since = 0
  #until = 0

  /** Samples a second; 0 where it does not run. */
  get rate(): number {
    return this.#rate
  }

  /** For how long the event loop stood still when it began, ms. */
  get beginTook(): number {
    return this.#beginTook
  }

  /** Samples a second when it ran last. */
  get lastRate(): number {
    return this.#lastRate
  }

  /** `performance.now()` from which on samples are still kept. */
  get sampledSince(): number {
    return Math.max(this.#since, this.ring.lostUntil, performance.now() - LONGEST)
  }

  /** `performance.now()` up to which it has run. */
  get sampledUntil(): number {
    return this.#time === undefined ? this.#until : performance.now()
  }

  /**
   * Whether it could begin.
   *
   * @throws AfterspanError ERR_AFTERSPAN_MISSING_PEER, ERR_AFTERSPAN_PROFILER.
   */
  check(): void {
    const { time } = loadPprof()
    if (this.#time === undefined && time.isStarted()) throw taken('it is started already')
  }

  /**
   * Samples at this rate at least, until `stop` of the use is called.
   *
   * @throws AfterspanError ERR_AFTERSPAN_MISSING_PEER, ERR_AFTERSPAN_PROFILER.
   */
  use(rate: number): SamplerUse {
    const use = { stop: () => this.#stop(use) }
    this.#uses.set(use, rate)
    try {
      this.#adjust()
    } catch (error) {
      this.#uses.delete(use)
      throw error
    }
    return use
  }

  /** Runs what belongs to an attempt: its samples are labelled with it, across its awaits. */
  run<T>(attempt: Attempt, call: () => T): T {
    const time = this.#time
    return time?.isStarted() ? time.runWithContext(attempt, call) : call()
  }

  /** Fetches what was sampled up to now. It takes about 1 ms. */
  fetch(): void {
    const time = this.#time
    if (time === undefined) return
    try {
      // With no sample at all the package takes its profiler for stuck and begins anew, which is what must not happen.
      const ticks = time.getState()[time.constants.kSampleCount] as number
      if (ticks < 2) return
      // What runs here is no attempt's, whoever asks.
      time.runWithContext(NOBODY, () => this.#read(time, true, this.#rate))
    } catch {
      selfHealth.caught('profiler')
    }
  }

  #stop(use: SamplerUse): void {
    if (!this.#uses.delete(use)) return
    try {
      this.#adjust()
    } catch {
      // At the rate of those that are left it could not begin anew.
      selfHealth.caught('profiler')
    }
  }

  #adjust(): void {
    const wanted = Math.max(0, ...this.#uses.values())
    if (wanted === this.#rate) return
    // What was sampled before a pause says nothing of what comes after it.
    if (this.#rate === 0) {
      this.ring.clear()
      this.#since = performance.now()
    }
    this.#end()
    if (wanted > 0) this.#begin(wanted)
  }

  #begin(rate: number): void {
    const { time } = loadPprof()
    const before = performance.now()
    try {
      time.start({
        intervalMicros: 1e6 / rate,
        // By twice this it knows how many samples it must have room for.
        durationMillis: LONGEST_STALL / 2,
        withContexts: true,
        useCPED: true,
        collectCpuTime: true,
        // It makes each fetch wait for two samples, with the loop standing still.
        workaroundV8Bug: false,
      })
    } catch (cause) {
      throw taken((cause as Error).message, cause)
    }
    this.#time = time
    this.#rate = rate
    this.#lastRate = rate
    this.#beginTook = performance.now() - before
    this.#cpuBefore = threadCpu()
    this.#fetching = setInterval(() => this.#routine(), FETCH)
    this.#fetching.unref()
    const probe = {}
    if (labelsPossible() && time.runWithContext(probe, () => time.getContext()) === probe) return
    this.#end()
    throw notPossible()
  }

  #end(): void {
    const time = this.#time
    if (time === undefined) return
    clearInterval(this.#fetching)
    this.#time = undefined
    const rate = this.#rate
    this.#rate = 0
    this.#until = performance.now()
    try {
      this.#read(time, false, rate)
    } catch {
      selfHealth.caught('profiler')
    }
    this.#letGo(0, performance.now())
  }

  #routine(): void {
    this.fetch()
    const now = performance.now()
    this.ring.expire(now)
    // No stall that is still to be told of lies before the latest fetch.
    this.#letGo(this.#heldUntil, this.#fetchedAt)
    this.#heldUntil = this.#fetchedAt
    this.#fetchedAt = now
  }

  #letGo(since: number, until: number): void {
    for (const { attempt, at } of this.ring.since(since)) if (at < until && attempt.over) attempt.job = undefined
  }

  #read(time: Time, goOn: boolean, rate: number): void {
    const now = threadCpu()
    const cpu = now === undefined || this.#cpuBefore === undefined ? undefined : now - this.#cpuBefore
    const until = performance.now()
    const window = new Window()
    const profile = time.stop(goOn, window.labels)
    const samples = window.samples(profile, 1000 / rate, until, cpu, this.#stacks)
    this.#stacks.trim()
    this.ring.push(samples)
    for (const [owner, cpus] of cpuByOwner(samples)) for (const [label, ms] of cpus) owner.used(label, ms / 1000)
    this.#cpuBefore = threadCpu()
  }
}

function taken(why: string, cause?: unknown): AfterspanError {
  return new AfterspanError(
    'ERR_AFTERSPAN_PROFILER',
    `The profiler cannot start: ${why}. Only one in a process can use @datadog/pprof: leave out Afterspan's where another, such as dd-trace's (DD_PROFILING_ENABLED), runs.`,
    { cause },
  )
}

function threadCpu(): number | undefined {
  const used = process.threadCpuUsage?.()
  return used && (used.user + used.system) / 1000
}

function cpuByOwner(samples: readonly Sample[]): Map<AttemptOwner, Map<string, number>> {
  const owners = new Map<AttemptOwner, Map<string, number>>()
  for (const { attempt, cpu } of samples) {
    let labels = owners.get(attempt.owner)
    if (labels === undefined) {
      labels = new Map()
      owners.set(attempt.owner, labels)
    }
    labels.set(attempt.label, (labels.get(attempt.label) ?? 0) + cpu)
  }
  return owners
}

export const sampler = new Sampler()
