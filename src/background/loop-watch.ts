import type { MeterProvider } from '@opentelemetry/api'
import { type Clock, systemClock } from '../model/clock.ts'
import type { Logger } from '../model/options.ts'
import type { Profiler, ProfilerHost } from '../model/profiler.ts'
import type { AttemptEnd } from '../model/seam.ts'
import type { Figures } from '../stats/figures.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import { Blocking } from './blocking.ts'
import type { Deferral } from './deferral.ts'
import { write } from './failure-log.ts'
import { Foreground } from './foreground.ts'
import { HeapWindows } from './heap-windows.ts'
import type { LoopSide } from './observers.ts'

interface LoopWatchOptions {
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly figures: Figures
  readonly logger: Logger
  readonly meterProvider: MeterProvider | undefined
}

/**
 * Looks on at what attempts do to the thread that they share with requests: how long they hold its event loop, by how much
 * its heap grows, where their CPU time goes, and what all of that costs requests. Under a clock of a test it measures by
 * that clock, and leaves out what only real time can tell.
 */
export class LoopWatch implements LoopSide {
  readonly foreground: Foreground
  readonly #options: LoopWatchOptions
  readonly #blocking: Blocking
  readonly #heap: HeapWindows | undefined
  readonly #leave: () => void
  #profiler: Profiler | undefined

  constructor(options: LoopWatchOptions) {
    const { clock, telemetry, figures, logger, meterProvider } = options
    const real = clock === systemClock
    this.#options = options
    this.foreground = Foreground.for(meterProvider)
    this.#leave = real ? this.foreground.use() : () => {}
    this.#heap = real ? new HeapWindows(this.foreground) : undefined
    this.#blocking = new Blocking(clock, telemetry, figures, logger, () => this.#profiler)
  }

  /** What this task does happens in a thread of its own. */
  leaveOut(label: string): void {
    this.#heap?.leaveOut(label)
  }

  get profiler(): Profiler | undefined {
    return this.#profiler
  }

  /** From now on attempts are sampled. */
  attach(make: (host: ProfilerHost) => Profiler): void {
    const { logger, telemetry } = this.#options
    this.#profiler?.close()
    this.#profiler = make({
      log: (line) => write(logger, 'info', line),
      useCpu: (label, seconds) => telemetry.usedCpu(label, seconds),
    })
    this.#blocking.watch()
  }

  /** Nothing is sampled any more. */
  detach(): void {
    this.#blocking.close()
    this.#profiler?.close()
    this.#profiler = undefined
  }

  close(): void {
    this.detach()
    this.#leave()
  }

  attemptStarted(): void {
    this.foreground.attemptStarted()
  }

  attemptEnding(job: Deferral, end: AttemptEnd): void {
    this.foreground.attemptEnded()
    this.#grew(job, this.#heap?.ending(job))
    this.#blocking.ending()
    this.#profiler?.ending(job, end)
  }

  /** Calls the handler of an attempt. */
  call(job: Deferral, handler: () => unknown): unknown {
    this.#profiler?.starting(job)
    const since = this.#options.clock.now()
    const { attempt } = job
    this.#heap?.open(job, since)
    let value: unknown
    try {
      value = handler()
      return value
    } finally {
      // It may be over by now, by a timeout that it made happen itself.
      if (job.attempt === attempt) {
        // An object may be a promise; to ask it might throw.
        this.#grew(job, this.#heap?.called(job, typeof value === 'object' && value !== null))
        this.#blocking.stretch(job, attempt, since)
      }
    }
  }

  #grew(job: Deferral, grown: { growth: number; allocated: number | undefined } | undefined): void {
    if (grown !== undefined) this.#options.telemetry.heapGrew(job, grown.growth, grown.allocated)
  }
}
