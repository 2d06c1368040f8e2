import type { Clock } from '../model/clock.ts'
import { type Effective, effectOf } from '../model/effect.ts'
import type { Place } from '../model/profiler.ts'
import type { AttemptEnd, Observer } from '../model/seam.ts'
import { OUTCOMES, type Outcome, RESULTS, type Result, STATES, type State, type TaskMode } from '../model/words.ts'
import { FailureWindow, WINDOW } from './failure-window.ts'
import { type Distribution, Sketch } from './sketch.ts'
import { type RecordedJob, TaskHistory } from './task-history.ts'

/** What the figures need to know of a deferral. */
export interface CountedJob extends RecordedJob, Effective {
  /** The name under which it is counted. */
  readonly label: string
  readonly origin: Effective['origin']
}

/** The figures of one task, or of all together. Since the start of the process, but for the failure ratio. */
export interface TaskFigures {
  readonly deferred: number
  /** Given to this process by an engine, and of these, given back for another attempt. */
  readonly taken: number
  readonly returned: number
  readonly completed: number
  readonly failed: number
  readonly cancelled: number
  readonly dropped: number
  readonly handed_off: number
  /** Unfinished and not running: held, delayed, ready or retrying. */
  readonly waiting: number
  readonly running: number
  /** Handlers that run on after a timeout or a cancellation. */
  readonly zombies: number
  readonly states: Readonly<Record<State, number>>
  readonly attempts: Readonly<Record<Result, number>>
  /** Failed attempts that were, or will be, made again. */
  readonly retries: number
  readonly deduplicated: number
  readonly retriesRefused: number
  /** Seconds, over the attempts that have started. */
  readonly wait: Distribution
  /** Seconds, over the attempts that have ended. */
  readonly duration: Distribution
  /** Seconds, over the deferrals that have their outcome, but for those that an engine has; see `afterspan.task.effect`. */
  readonly effect: Distribution
  /** Seconds, over the stretches in which it held the event loop for 20 ms or more; see `afterspan.task.blocked`. */
  readonly blocked: Distribution
  /** Seconds that the oldest ready one has been ready; null when none is. */
  readonly oldestWaiting: number | null
  /** Of the deferrals that completed or failed in the last five minutes, the share that failed; null when none did. */
  readonly failureRatio: number | null
  /** How many the failure ratio is made of. */
  readonly recent: { readonly completed: number; readonly failed: number; readonly seconds: number }
}

class Counts {
  deferred = 0
  taken = 0
  returned = 0
  zombies = 0
  retries = 0
  deduplicated = 0
  retriesRefused = 0
  readonly outcomes = zeros(OUTCOMES)
  readonly states = zeros(STATES)
  readonly attempts = zeros(RESULTS)
  readonly wait = new Sketch()
  readonly duration = new Sketch()
  readonly effect = new Sketch()
  readonly blocked = new Sketch()
  readonly window = new FailureWindow()
  /** Only where somebody looks at it. */
  history: TaskHistory | undefined = undefined

  get waiting(): number {
    return this.states.held + this.states.delayed + this.states.ready + this.states.retrying
  }
}

/** The in-process figures behind `tasks.snapshot()`, `health` and the dashboard. */
export class Figures implements Observer<CountedJob> {
  readonly #clock: Clock
  readonly #tasks = new Map<string, Counts>()
  #withHistory = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** To be called when a task is defined: it is shown from then on. */
  define(label: string): void {
    this.#of(label)
  }

  /** From now on the last hour of each task is kept. */
  keepHistory(): void {
    this.#withHistory = true
    for (const counts of this.#tasks.values()) this.#startHistory(counts)
  }

  /** undefined where there is no such task, or history is not kept. */
  history(label: string): TaskHistory | undefined {
    return this.#tasks.get(label)?.history
  }

  deferred(job: CountedJob): void {
    this.#changing(job.label).deferred++
  }

  taken(job: CountedJob): void {
    this.#changing(job.label).taken++
  }

  returned(job: CountedJob, retried: boolean): void {
    const counts = this.#changing(job.label)
    counts.states.running--
    counts.returned++
    if (retried) this.#retried(counts)
  }

  lost(): void {}

  entered(job: CountedJob, state: State, from: State | undefined): void {
    const counts = this.#changing(job.label)
    const { states } = counts
    if (from !== undefined) states[from]--
    states[state]++
    if (state === 'retrying') this.#retried(counts)
  }

  batchStarted(): void {}

  attemptStarted(job: CountedJob): void {
    const counts = this.#changing(job.label)
    counts.wait.record(job.wait / 1000)
    counts.history?.waited(job)
  }

  attemptEnded(job: CountedJob, end: AttemptEnd): void {
    const counts = this.#changing(job.label)
    counts.attempts[end.result]++
    counts.duration.record(end.duration / 1000)
    if (end.zombie) counts.zombies++
    counts.history?.ended(job, end, this.#clock.now())
  }

  /** It has held the event loop for so many seconds. */
  blocked(job: CountedJob, seconds: number, stall: boolean, place: Place | undefined): void {
    const counts = this.#changing(job.label)
    counts.blocked.record(seconds)
    counts.history?.blocked(seconds, stall, place)
  }

  finished(job: CountedJob, outcome: Outcome, from: State | undefined): void {
    const counts = this.#changing(job.label)
    const now = this.#clock.now()
    if (from !== undefined) counts.states[from]--
    counts.outcomes[outcome]++
    if (outcome === 'completed' || outcome === 'failed') counts.window.record(outcome === 'failed', now)
    // The process that runs it knows when its effect is there.
    const effect = outcome === 'handed_off' ? undefined : effectOf(job, now) / 1000
    if (effect !== undefined) counts.effect.record(effect)
    counts.history?.finished(job, outcome, effect, now)
  }

  zombieEnded(job: CountedJob): void {
    this.#of(job.label).zombies--
  }

  retryRefused(job: CountedJob): void {
    const counts = this.#changing(job.label)
    counts.retriesRefused++
    counts.history?.retryRefused()
  }

  deduplicated(job: CountedJob): void {
    this.#of(job.label).deduplicated++
  }

  /**
   * @param oldest Label and age in ms of the oldest ready one, of every task that has one.
   * @param modes By label, of those that do not just run.
   */
  read(
    oldest: ReadonlyMap<string, number>,
    modes: ReadonlyMap<string, TaskMode>,
  ): {
    total: TaskFigures
    tasks: (TaskFigures & { readonly name: string; readonly mode: TaskMode })[]
  } {
    const tasks = [...this.#tasks].map(([name, counts]) => ({
      name,
      mode: modes.get(name) ?? 'running',
      ...this.#figures([counts], oldest.get(name)),
    }))
    const ages = [...oldest.values()]
    return { total: this.#figures([...this.#tasks.values()], ages.length > 0 ? Math.max(...ages) : undefined), tasks }
  }

  #of(label: string): Counts {
    let counts = this.#tasks.get(label)
    if (counts === undefined) {
      counts = new Counts()
      this.#tasks.set(label, counts)
      if (this.#withHistory) this.#startHistory(counts)
    }
    return counts
  }

  /** What is about to change: the parts of its history that have ended, ended before. */
  #changing(label: string): Counts {
    const counts = this.#of(label)
    counts.history?.advance(this.#clock.now())
    return counts
  }

  #retried(counts: Counts): void {
    counts.retries++
    counts.history?.retried()
  }

  #startHistory(counts: Counts): void {
    const gauges = () => ({ waiting: counts.waiting, running: counts.states.running })
    counts.history ??= new TaskHistory(this.#clock.now(), gauges)
  }

  #figures(all: Counts[], oldest: number | undefined): TaskFigures {
    const sum = all.length === 1 ? all[0]! : together(all)
    const recent = { completed: 0, failed: 0, seconds: WINDOW / 1000 }
    for (const { window } of all) {
      const { completed, failed } = window.counts(this.#clock.now())
      recent.completed += completed
      recent.failed += failed
    }
    const decided = recent.completed + recent.failed
    return {
      deferred: sum.deferred,
      taken: sum.taken,
      returned: sum.returned,
      ...sum.outcomes,
      waiting: sum.waiting,
      running: sum.states.running,
      zombies: sum.zombies,
      states: { ...sum.states },
      attempts: { ...sum.attempts },
      retries: sum.retries,
      deduplicated: sum.deduplicated,
      retriesRefused: sum.retriesRefused,
      wait: sum.wait.summary(),
      duration: sum.duration.summary(),
      effect: sum.effect.summary(),
      blocked: sum.blocked.summary(),
      oldestWaiting: oldest === undefined ? null : oldest / 1000,
      failureRatio: decided === 0 ? null : recent.failed / decided,
      recent,
    }
  }
}

function together(all: readonly Counts[]): Counts {
  const sum = new Counts()
  for (const counts of all) {
    sum.deferred += counts.deferred
    sum.taken += counts.taken
    sum.returned += counts.returned
    sum.zombies += counts.zombies
    sum.retries += counts.retries
    sum.deduplicated += counts.deduplicated
    sum.retriesRefused += counts.retriesRefused
    for (const outcome of OUTCOMES) sum.outcomes[outcome] += counts.outcomes[outcome]
    for (const state of STATES) sum.states[state] += counts.states[state]
    for (const result of RESULTS) sum.attempts[result] += counts.attempts[result]
    sum.wait.merge(counts.wait)
    sum.duration.merge(counts.duration)
    sum.effect.merge(counts.effect)
    sum.blocked.merge(counts.blocked)
  }
  return sum
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>
}
