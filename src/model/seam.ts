import type { Outcome, Result, State } from './words.ts'

/** How an attempt ended. */
export interface AttemptEnd {
  readonly result: Result
  /** What was thrown; undefined where the result is `ok`. */
  readonly error: unknown
  /** ms. */
  readonly duration: number
  /** The handler has not settled: it runs on as a zombie and keeps its slot. */
  readonly zombie: boolean
}

/**
 * What the scheduler tells of its work: the only way in which telemetry, figures and events learn of it. Each call comes
 * after the scheduler has changed its own state, so an observer sees counts that balance. An observer must not throw.
 *
 * For one deferral the calls are: `deferred`; any number of `entered`; for each attempt `attemptStarted` and
 * `attemptEnded`; `finished` once. A dropped one has `deferred` and `finished` alone. A job that an engine gave has `taken` in
 * place of `deferred`, one attempt, and either `finished` or `returned`.
 */
export interface Observer<J> {
  deferred(job: J): void
  /** An engine has given this job to this process. */
  taken(job: J): void
  /** A job that was taken is the engine's again; `retried`: its attempt has failed and will be made again. */
  returned(job: J, retried: boolean): void
  /** The engine has given a job that was taken to somebody else, or may have. */
  lost(job: J): void
  /** The deferral is in a new state; `from` is undefined for the first. */
  entered(job: J, state: State, from: State | undefined): void
  /** The attempt `job.attempt` is about to run; `job.wait` is how long it waited, in ms. */
  attemptStarted(job: J): void
  /** These are about to run together; `attemptStarted` follows for each. */
  batchStarted(jobs: readonly J[]): void
  attemptEnded(job: J, end: AttemptEnd): void
  /** The deferral has its outcome; `from` is the state it was in, undefined if it was dropped. */
  finished(job: J, outcome: Outcome, from: State | undefined): void
  /** A handler that outlived its attempt has settled and its slot is free. */
  zombieEnded(job: J): void
  /** A retry was due by `attempts` and `retryIf`, but the budget was used up. */
  retryRefused(job: J): void
  /** A deferral asked for the key of this unfinished one. */
  deduplicated(job: J): void
}
