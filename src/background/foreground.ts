import type { MeterProvider } from '@opentelemetry/api'
import { RECENT_SLOTS, RecentSketch, SlotTimer } from '../stats/recent-sketch.ts'
import { type Distribution, Sketch } from '../stats/sketch.ts'
import type { Quantiles } from '../stats/slot-sketch.ts'
import { type Beat, loopMonitor } from '../telemetry/loop-monitor.ts'
import { MetricRegistry } from '../telemetry/metric-registry.ts'
import { selfHealth } from '../telemetry/self-health.ts'

/** What requests and the event loop were like while tasks ran, and while none did. Seconds. */
export interface ForegroundFigures {
  readonly loopDelay: { readonly running: Distribution; readonly idle: Distribution }
  readonly request: { readonly running: Distribution; readonly idle: Distribution }
}

/** The same of the last five minutes. */
export interface RecentForeground {
  readonly loopDelay: { readonly running: Quantiles; readonly idle: Quantiles }
  readonly request: { readonly running: Quantiles; readonly idle: Quantiles }
}

const RUNNING = Object.freeze({ 'background.running': true })
const IDLE = Object.freeze({ 'background.running': false })

/**
 * What background work costs the requests of its process. All that report to one MeterProvider share one, since they share
 * the event loop.
 */
export class Foreground {
  static readonly #ofProvider = new WeakMap<MeterProvider, Foreground>()
  static #global: Foreground | undefined

  static for(provider: MeterProvider | undefined): Foreground {
    if (provider === undefined) {
      Foreground.#global ??= new Foreground(undefined)
      return Foreground.#global
    }
    let known = Foreground.#ofProvider.get(provider)
    if (known === undefined) {
      known = new Foreground(provider)
      Foreground.#ofProvider.set(provider, known)
    }
    return known
  }

  readonly #registry: MetricRegistry
  readonly #loopDelay = { running: new Sketch(), idle: new Sketch() }
  readonly #request = { running: new Sketch(), idle: new Sketch() }
  /** Only where somebody looks at it. */
  #recent: Recent | undefined
  #users = 0
  #stop: (() => void) | undefined
  #running = 0
  /** Attempts that have started so far. */
  #started = 0
  #startedAtBeat = 0
  #requests = 0
  #requestsSeen = 0

  private constructor(provider: MeterProvider | undefined) {
    this.#registry = MetricRegistry.for(provider)
  }

  /** To be called once by each `createTasks`; the function that is returned ends it. */
  use(): () => void {
    this.#users++
    this.#stop ??= loopMonitor.listen((beat) => this.#beat(beat))
    return () => {
      this.#users--
      if (this.#users > 0) return
      this.#stop?.()
      this.#stop = undefined
    }
  }

  attemptStarted(): void {
    this.#running++
    this.#started++
  }

  attemptEnded(): void {
    this.#running--
  }

  /** @returns What `requestEnded` wants to know. */
  requestStarted(): number {
    this.#requests++
    this.#requestsSeen++
    return this.#running > 0 ? -1 : this.#started
  }

  /** @param ms undefined where it was not answered, or with an error. */
  requestEnded(started: number, ms: number | undefined): void {
    this.#requests--
    if (ms === undefined) return
    const running = started !== this.#started
    const seconds = ms / 1000
    ;(running ? this.#request.running : this.#request.idle).record(seconds)
    this.#recent?.record('request', running, seconds)
    try {
      this.#registry.instruments.request.record(seconds, running ? RUNNING : IDLE)
    } catch {
      selfHealth.caught('metric')
    }
  }

  /** Changes when an attempt or a request starts; undefined while more than one attempt runs, or a request is answered. */
  get solitude(): number | undefined {
    return this.#running <= 1 && this.#requests === 0 ? this.#started + this.#requestsSeen : undefined
  }

  read(): ForegroundFigures {
    return { loopDelay: summaries(this.#loopDelay), request: summaries(this.#request) }
  }

  /** From now on the last five minutes are kept. */
  keepRecent(): void {
    this.#recent ??= new Recent()
  }

  recent(): RecentForeground | undefined {
    return this.#recent?.read()
  }

  #beat({ delay }: Beat): void {
    const running = this.#running > 0 || this.#started !== this.#startedAtBeat
    this.#startedAtBeat = this.#started
    const seconds = delay / 1000
    ;(running ? this.#loopDelay.running : this.#loopDelay.idle).record(seconds)
    this.#recent?.record('loopDelay', running, seconds)
    try {
      this.#registry.instruments.loopDelay.record(seconds, running ? RUNNING : IDLE)
    } catch {
      selfHealth.caught('metric')
    }
  }
}

class Recent {
  readonly #sketches = {
    loopDelay: { running: new RecentSketch(), idle: new RecentSketch() },
    request: { running: new RecentSketch(), idle: new RecentSketch() },
  }
  readonly #timer = new SlotTimer(performance.now())

  record(what: 'loopDelay' | 'request', running: boolean, seconds: number): void {
    this.#advance()
    this.#sketches[what][running ? 'running' : 'idle'].record(seconds)
  }

  read(): RecentForeground {
    this.#advance()
    const { loopDelay, request } = this.#sketches
    return {
      loopDelay: { running: loopDelay.running.quantiles(), idle: loopDelay.idle.quantiles() },
      request: { running: request.running.quantiles(), idle: request.idle.quantiles() },
    }
  }

  #advance(): void {
    for (let passed = Math.min(this.#timer.passed(performance.now()), RECENT_SLOTS + 1); passed > 0; passed--) {
      for (const { running, idle } of Object.values(this.#sketches)) {
        running.close()
        idle.close()
      }
    }
  }
}

function summaries({ running, idle }: { running: Sketch; idle: Sketch }): {
  running: Distribution
  idle: Distribution
} {
  return { running: running.summary(), idle: idle.summary() }
}
