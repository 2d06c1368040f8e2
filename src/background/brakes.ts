import { type Clock, systemClock } from '../model/clock.ts'
import type { Settings } from '../model/options.ts'
import type { Priority } from '../model/words.ts'
import type { ControlLaw } from '../scheduler/control-law.ts'
import type { Gate } from '../scheduler/gate.ts'
import { type DelayMeter, LoopDelay } from '../telemetry/loop-delay.ts'
import { Governor, type GovernorFigures } from './governor.ts'
import { type HeapFigures, HeapGuard, type HeapReading, readHeap } from './heap-guard.ts'

/** What tests and benchmarks put in place of what is measured, and of the law. */
export interface BrakeInternals {
  readonly meter?: (beat: number, worked: () => boolean) => DelayMeter
  readonly law?: ControlLaw
  readonly heap?: () => HeapReading
}

/** What the brakes have to know of the scheduler. */
interface Braked {
  resume(): void
  waitsFor(priority: Priority): boolean
  /** Slots taken. */
  readonly used: number
}

/** What holds tasks back beside their own limits: the governor, and the guard of the heap. */
export class Brakes {
  /** The heap first: what it holds back does not ask the governor for more. */
  readonly gates: readonly Gate[]
  readonly #governor: Governor | undefined
  readonly #heap: HeapGuard
  readonly #concurrency: number

  constructor(settings: Settings, clock: Clock, scheduler: () => Braked, internals: BrakeInternals) {
    const { governor, heapGuard, concurrency, logger } = settings
    const resume = () => scheduler().resume()
    const waitsFor = (priority: Priority) => scheduler().waitsFor(priority)
    this.#concurrency = concurrency
    this.#heap = new HeapGuard({
      clock,
      logger,
      share: heapGuard,
      read: internals.heap ?? readHeap,
      resume,
      waits: () => waitsFor('low'),
      rests: () => scheduler().used === 0,
    })
    // Only real time has a delay.
    const meter = internals.meter ?? (clock === systemClock ? realMeter : noMeter)
    const { law } = internals
    if (governor !== undefined) {
      this.#governor = new Governor({ clock, logger, concurrency, ...governor, resume, waitsFor, meter, law })
    }
    this.gates = this.#governor === undefined ? [this.#heap] : [this.#heap, this.#governor]
  }

  /** How many attempts may run at once. */
  get limit(): number {
    return this.#governor?.limit ?? this.#concurrency
  }

  get heapGuarded(): boolean {
    return this.#heap.guarded
  }

  governor(): GovernorFigures | undefined {
    return this.#governor?.read()
  }

  heap(): HeapFigures {
    return this.#heap.read()
  }

  /** The process ends: the governor holds nothing back any more. The heap may still be full. */
  close(): void {
    this.#governor?.lift()
  }
}

function realMeter(beat: number, worked: () => boolean): DelayMeter {
  return new LoopDelay(beat, worked)
}

function noMeter(): DelayMeter {
  return { start() {}, stop() {} }
}
