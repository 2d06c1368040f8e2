import type { Clock } from '../model/clock.ts'
import type { Consumer, Depth, EngineQueue } from '../model/engine.ts'
import type { Logger } from '../model/options.ts'
import type { EngineReading } from '../telemetry/metric-registry.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import type { MessagingQueue } from '../telemetry/spans.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import { write } from './failure-log.ts'

/** A queue in an engine whose depth is shown, and whose consumer ends with the process. */
export interface Place {
  readonly name: string
  readonly queue: Pick<EngineQueue, 'depth'>
  readonly messaging: MessagingQueue
  consumer: Consumer | undefined
  /** Of its consumer; 0 without one. */
  readonly concurrency: number
  depth: { readonly read: Depth; readonly at: number } | undefined
  /** When it was first asked what it holds, clock ms. */
  askedAt: number | undefined
}

/** How often an engine is asked what it holds, and for how long its answer is shown, ms. */
const ASK_EVERY = 10_000
const ANSWER_HOLDS = 35_000
/** How long it may take to answer for the first time, ms. */
const FIRST_ANSWER = 5_000
/** At most one line per task in this time, ms. */
const QUIET = 60_000

export interface EngineDepthsOptions {
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly logger: Logger
}

/** Asks the engines what they hold, and says so when they do not answer. */
export class EngineDepths {
  readonly #options: EngineDepthsOptions
  readonly #places = new Set<Place>()
  readonly #lines = new Map<string, number>()
  #stopAsking: (() => void) | undefined
  #stopped = false

  constructor(options: EngineDepthsOptions) {
    this.#options = options
  }

  get places(): ReadonlySet<Place> {
    return this.#places
  }

  show(place: Place): void {
    const { clock, telemetry } = this.#options
    this.#places.add(place)
    telemetry.defineEngine(place.name)
    this.#stopAsking ??= clock.after(1_000, () => this.#ask(), true)
  }

  hide(place: Place): void {
    this.#places.delete(place)
  }

  /** The process closes: an engine that is let go of is not to be complained about. */
  stop(): void {
    this.#stopped = true
    this.#stopAsking?.()
  }

  /** What the engines hold, as far as they have said so of late. */
  *readings(): Iterable<
    readonly [string, EngineReading & { readonly queue: MessagingQueue; readonly young: boolean }]
  > {
    const now = this.#options.clock.now()
    for (const { name, concurrency, depth, messaging, askedAt } of this.#places) {
      const up = depth !== undefined && now - depth.at <= ANSWER_HOLDS
      const young = depth === undefined && now - (askedAt ?? now) < FIRST_ANSWER
      yield [name, { concurrency, up, young, depth: up ? depth.read : undefined, queue: messaging }]
    }
  }

  #ask(): void {
    const { clock } = this.#options
    for (const place of this.#places) {
      place.askedAt ??= clock.now()
      // A reading that hangs must not keep the others from being asked, so nothing waits for it.
      place.queue.depth().then(
        (read) => {
          place.depth = { read, at: clock.now() }
        },
        (error) => this.wrong(place, error),
      )
    }
    if (!this.#stopped) this.#stopAsking = clock.after(ASK_EVERY, () => this.#ask(), true)
  }

  /** Something is wrong with an engine; at most a line a minute. */
  wrong({ name, messaging }: Place, error: unknown): void {
    selfHealth.caught('engine')
    const { clock, logger } = this.#options
    const now = clock.now()
    if (this.#stopped || now - (this.#lines.get(name) ?? Number.NEGATIVE_INFINITY) < QUIET) return
    this.#lines.set(name, now)
    const message = error instanceof Error && error.message !== '' ? error.message : String(error)
    write(logger, 'warn', `afterspan: ${messaging.system} queue "${messaging.name}": ${message}`)
  }
}
