import type { ProfileOptions } from './options.ts'
import type { AttemptEnd } from './seam.ts'

/** What the profiler needs to know of a deferral whose attempt runs. */
export interface ProfiledJob {
  readonly id: string
  /** The name under which it is counted. */
  readonly label: string
  /** From 1. */
  readonly attempt: number
  /** Clock ms. */
  readonly startedAt: number
  /** undefined: its task does not ask for it. */
  readonly profile: Required<ProfileOptions> | undefined
  /** Sets attributes on the span of the running attempt. */
  note(attributes: Readonly<Record<string, string | number | boolean>>): void
}

/** A function of the app, as a stack names it. */
export interface Place {
  readonly name: string
  /** Path or URL; undefined where it is native. */
  readonly file: string | undefined
  /** From 1. */
  readonly line: number | undefined
}

/** How long one attempt held the event loop in some stretch of time. */
export interface Held {
  readonly job: ProfiledJob
  /** From 1. */
  readonly attempt: number
  /** ms, by the samples. */
  readonly held: number
  readonly samples: number
  /** The function of the app's own in which most of them were. */
  readonly place: Place | undefined
}

/** What a profile says, as the page shows it. Seconds are those in which attempts had the thread, by the samples. */
export interface ProfileView {
  /** How long it covers. */
  readonly seconds: number
  readonly samples: number
  readonly busy: number
  /** Seconds of CPU in them. */
  readonly cpu: number
  /** The functions that took most, by the time in themselves. */
  readonly top: readonly (Place & { readonly self: number; readonly total: number })[]
  /** The calls, the outermost on top. */
  readonly root: ProfileFrame
}

export interface ProfileFrame extends Place {
  /** Seconds in it and in what it called. */
  readonly value: number
  readonly children: readonly ProfileFrame[]
}

/** What samples the stacks of running attempts. Nothing of it throws. */
export interface Profiler {
  /** The handler of an attempt is about to be called; what this takes is not the attempt's. */
  starting(job: ProfiledJob): void
  /** Runs the handler of an attempt so that the samples know whose they are, across its awaits. */
  run<T>(job: ProfiledJob, handler: () => T): T
  /** The attempt ends; its span is still open. */
  ending(job: ProfiledJob, end: AttemptEnd): void
  /**
   * Who held the loop between two moments of `performance.now()`, by attempt, the longest first; undefined where nothing is
   * sampled.
   */
  held(since: number, until: number): Held[] | undefined
  /** What is known of a task, by its label, or of one slow attempt whose profile is kept; undefined where that is not kept. */
  view(label: string, kept?: string): ProfileView | undefined
  /** Under which name the profile of an attempt is kept. */
  keptOf(label: string, id: string, attempt: number): string | undefined
  close(): void
}

/** What `createTasks` gives to its profiler. */
export interface ProfilerHost {
  log(line: string): void
  /** A task has used so many seconds of CPU. */
  useCpu(label: string, seconds: number): void
}
