import type { Clock } from '../model/clock.ts'
import type { AttemptEnd, Observer } from '../model/seam.ts'
import { OUTCOMES, type Outcome, RESULTS, type Result, STATES, type State } from '../model/words.ts'
import { FailureWindow, WINDOW } from './failure-window.ts'
import { type Distribution, Sketch } from './sketch.ts'

/** What the figures need to know of a deferral. */
export interface CountedJob {
  /** The name under which it is counted. */
  readonly label: string
  /** ms. */
  readonly wait: number
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
  readonly blocked = new Sketch()
  readonly window = new FailureWindow()
}

/** The in-process figures behind `tasks.snapshot()`, `health` and the dashboard. */
export class Figures implements Observer<CountedJob> {
  readonly #clock: Clock
  readonly #tasks = new Map<string, Counts>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** To be called when a task is defined: it is shown from then on. */
  define(label: string): void {
    this.#of(label)
  }

  deferred(job: CountedJob): void {
    this.#of(job.label).deferred++
  }

  taken(job: CountedJob): void {
    this.#of(job.label).taken++
  }

  returned(job: CountedJob, retried: boolean): void {
    const counts = this.#of(job.label)
    counts.states.running--
    counts.returned++
    if (retried) counts.retries++
  }

  lost(): void {}

  entered(job: CountedJob, state: State, from: State | undefined): void {
    const { states } = this.#of(job.label)
    if (from !== undefined) states[from]--
    states[state]++
    if (state === 'retrying') this.#of(job.label).retries++
  }

  batchStarted(): void {}

  attemptStarted(job: CountedJob): void {
    this.#of(job.label).wait.record(job.wait / 1000)
  }

  attemptEnded(job: CountedJob, end: AttemptEnd): void {
    const counts = this.#of(job.label)
    counts.attempts[end.result]++
    counts.duration.record(end.duration / 1000)
    if (end.zombie) counts.zombies++
  }

  /** It has held the event loop for so many seconds. */
  blocked(job: CountedJob, seconds: number): void {
    this.#of(job.label).blocked.record(seconds)
  }

  finished(job: CountedJob, outcome: Outcome, from: State | undefined): void {
    const counts = this.#of(job.label)
    if (from !== undefined) counts.states[from]--
    counts.outcomes[outcome]++
    if (outcome === 'completed' || outcome === 'failed') counts.window.record(outcome === 'failed', this.#clock.now())
  }

  zombieEnded(job: CountedJob): void {
    this.#of(job.label).zombies--
  }

  retryRefused(job: CountedJob): void {
    this.#of(job.label).retriesRefused++
  }

  deduplicated(job: CountedJob): void {
    this.#of(job.label).deduplicated++
  }

  /** @param oldest Label and age in ms of the oldest ready one, of every task that has one. */
  read(oldest: ReadonlyMap<string, number>): {
    total: TaskFigures
    tasks: (TaskFigures & { readonly name: string })[]
  } {
    const tasks = [...this.#tasks].map(([name, counts]) => ({ name, ...this.#figures([counts], oldest.get(name)) }))
    const ages = [...oldest.values()]
    return { total: this.#figures([...this.#tasks.values()], ages.length > 0 ? Math.max(...ages) : undefined), tasks }
  }

  #of(label: string): Counts {
    let counts = this.#tasks.get(label)
    if (counts === undefined) {
      counts = new Counts()
      this.#tasks.set(label, counts)
    }
    return counts
  }

  #figures(all: Counts[], oldest: number | undefined): TaskFigures {
    const now = this.#clock.now()
    const sum = new Counts()
    const recent = { completed: 0, failed: 0, seconds: WINDOW / 1000 }
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
      sum.blocked.merge(counts.blocked)
      const { completed, failed } = counts.window.counts(now)
      recent.completed += completed
      recent.failed += failed
    }
    const decided = recent.completed + recent.failed
    return {
      deferred: sum.deferred,
      taken: sum.taken,
      returned: sum.returned,
      ...sum.outcomes,
      waiting: sum.states.held + sum.states.delayed + sum.states.ready + sum.states.retrying,
      running: sum.states.running,
      zombies: sum.zombies,
      states: sum.states,
      attempts: sum.attempts,
      retries: sum.retries,
      deduplicated: sum.deduplicated,
      retriesRefused: sum.retriesRefused,
      wait: sum.wait.summary(),
      duration: sum.duration.summary(),
      blocked: sum.blocked.summary(),
      oldestWaiting: oldest === undefined ? null : oldest / 1000,
      failureRatio: decided === 0 ? null : recent.failed / decided,
      recent,
    }
  }
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>
}
