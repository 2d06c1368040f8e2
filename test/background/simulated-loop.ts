import { Governor } from '../../src/background/governor.ts'
import type { Clock } from '../../src/model/clock.ts'
import { PRIORITIES, type Priority } from '../../src/model/words.ts'
import type { ControlLaw } from '../../src/scheduler/control-law.ts'
import { SLICE } from '../../src/scheduler/turn.ts'
import { WINDOW } from '../../src/telemetry/loop-delay.ts'

/** What waits in one priority. */
export interface Work {
  /** How long each attempt holds the loop, ms. */
  hold: number
  /** For how long it then waits for something else, ms. */
  io: number
  /** How many come in a second; Infinity: there is always one. */
  rate: number
}

/**
 * An event loop in which attempts hold it and wait for I/O, in virtual time, under the governor as it is: only the clock, the
 * scheduler and the measurement are models. Each reading is true but for noise, which is the same in each run.
 */
export class SimulatedLoop {
  readonly governor: Governor
  readonly lines: string[] = []
  /** Of each priority: attempts that started, and the most that ran at once, since `forget`. */
  readonly started: Record<Priority, number> = { high: 0, medium: 0, low: 0 }
  readonly most: Record<Priority, number> = { high: 0, medium: 0, low: 0 }
  /** The limit of the priority that was asked for, at each reading. */
  readonly limits: Record<Priority, number>[] = []
  now = 0
  /** How much of the true delay a reading may be off, either way; and whether one in twenty has a delay of somebody else's. */
  noise = 0
  readonly #maxLoopDelay: number
  readonly #work: Record<Priority, Work | undefined> = { high: undefined, medium: undefined, low: undefined }
  readonly #waiting: Record<Priority, number> = { high: 0, medium: 0, low: 0 }
  readonly #running: Record<Priority, number> = { high: 0, medium: 0, low: 0 }
  #timers: { at: number; call: () => void }[] = []
  #tell: ((delay: number, ms: number) => void) | undefined
  #squares = 0
  #allSquares = 0
  #since = 0
  #readAt = 0
  #seed = 1
  readonly #concurrency: number

  constructor(maxLoopDelay: number, { concurrency = 128, law }: { concurrency?: number; law?: ControlLaw } = {}) {
    this.#maxLoopDelay = maxLoopDelay
    this.#concurrency = concurrency
    const clock: Clock = {
      now: () => this.now,
      after: (ms, call) => {
        const timer = { at: this.now + ms, call }
        this.#timers.push(timer)
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer)
        }
      },
      nextTurn: () => {},
    }
    this.governor = new Governor({
      clock,
      maxLoopDelay,
      concurrency,
      law,
      logger: { info: (line) => this.lines.push(line), warn: (line) => this.lines.push(line), error: () => {} },
      resume: () => {},
      waitsFor: (priority) => this.#waiting[priority] > 0,
      meter: () => ({
        start: (tell) => {
          this.#tell ??= tell
        },
        stop: () => {
          this.#tell = undefined
        },
      }),
    })
  }

  set(priority: Priority, work: Work | undefined): void {
    this.#work[priority] = work
    this.#waiting[priority] = work?.rate === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : 0
    if (work !== undefined && Number.isFinite(work.rate)) this.#arrive(priority, work, this.now)
  }

  limit(priority: Priority): number {
    return this.governor.read().limits[priority]
  }

  /** The true average delay since `forget`, as a share of what is allowed. */
  get pressure(): number {
    return this.#allSquares / (2 * (this.now - this.#since)) / this.#maxLoopDelay
  }

  forget(): void {
    this.#allSquares = 0
    this.#since = this.now
    this.limits.length = 0
    for (const priority of PRIORITIES) {
      this.started[priority] = 0
      this.most[priority] = 0
    }
  }

  run(ms: number): void {
    const end = this.now + ms
    while (this.now < end) this.#turn()
  }

  #turn(): void {
    const before = this.now
    for (const timer of this.#timers.filter(({ at }) => at <= this.now)) {
      this.#timers = this.#timers.filter((other) => other !== timer)
      timer.call()
    }
    for (const priority of PRIORITIES) while (this.now - before < SLICE && this.#start(priority)) {}
    const held = this.now - before
    this.#squares += held * held
    this.#allSquares += held * held
    if (held === 0) {
      const next = Math.min(...this.#timers.map(({ at }) => at), this.#readAt + WINDOW)
      this.now = Math.max(next, this.now + 0.05)
    }
    if (this.now - this.#readAt >= WINDOW) this.#read()
  }

  #start(priority: Priority): boolean {
    const work = this.#work[priority]
    if (work === undefined || this.#waiting[priority] < 1) return false
    if (PRIORITIES.reduce((sum, one) => sum + this.#running[one], 0) >= this.#concurrency) return false
    if (!this.governor.admits(priority, this.now)) return false
    this.#waiting[priority]--
    this.#running[priority]++
    this.started[priority]++
    this.most[priority] = Math.max(this.most[priority], this.#running[priority])
    const since = this.now
    this.governor.started(priority, since)
    this.now += work.hold
    const ended = () => {
      this.#running[priority]--
      this.governor.ended(priority, this.now - since, this.now)
    }
    if (work.io === 0) ended()
    else this.#timers.push({ at: this.now + work.io, call: ended })
    return true
  }

  #arrive(priority: Priority, work: Work, due: number): void {
    if (this.#work[priority] !== work) return
    this.#waiting[priority]++
    const next = due + 1_000 / work.rate
    this.#timers.push({ at: next, call: () => this.#arrive(priority, work, next) })
  }

  #read(): void {
    const ms = this.now - this.#readAt
    let delay = this.#squares / (2 * ms)
    delay *= 1 + this.noise * (2 * this.#random() - 1)
    if (this.noise > 0 && this.#random() < 0.05) delay += 2 * this.#maxLoopDelay * this.#random()
    this.#squares = 0
    this.#readAt = this.now
    this.#tell?.(delay, ms)
    this.limits.push(this.governor.read().limits)
  }

  /** The same sequence in each run: mulberry32. */
  #random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0
    let t = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
