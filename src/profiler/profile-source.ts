import type { Sample } from './sample.ts'

/** One sample of a profile. */
export interface Measured extends Omit<Sample, 'attempt'> {
  readonly attempt: { readonly label: string }
}

/** What a profile is made of. */
export interface ProfileSource {
  /** undefined: of all tasks. */
  readonly task: string | undefined
  /** `performance.now()` of what it covers, ms. */
  readonly since: number
  readonly until: number
  /** Samples a second, as asked for. */
  readonly rate: number
  /** In the order of time. */
  readonly samples: readonly Measured[]
  /** What ran while the attempt, which is all that it covers, did not. */
  readonly meanwhile?: readonly Meanwhile[]
}

/** How long another task had the thread. */
export interface Meanwhile {
  readonly task: string
  readonly seconds: number
}

/** What one function did, by the samples. */
export interface ProfileRow {
  readonly name: string
  /** Path or URL; '' where it is native. */
  readonly file: string
  /** Where the function begins, from 1; 0 where it is not known. */
  readonly line: number
  readonly samples: number
  /** Seconds in the function itself. */
  readonly self: number
  /** Seconds in it and in what it called; recursion counts once. */
  readonly total: number
  /** Of all seconds of the profile, from 0 to 1. */
  readonly selfShare: number
  readonly totalShare: number
}

/** What a profile says as a whole. */
export interface ProfileFigures {
  /** undefined: of all tasks. */
  readonly task: string | undefined
  readonly from: Date
  /** How long it covers. */
  readonly seconds: number
  /** Samples a second, as asked for. */
  readonly rate: number
  readonly samples: number
  /** How many attempts were seen in it. */
  readonly attempts: number
  /** Seconds that they had the thread. */
  readonly busy: number
  /** Seconds of CPU that they used of it, garbage collection included. */
  readonly cpu: number
  /** For a profile of one attempt: which tasks had the thread meanwhile, the longest first. */
  readonly meanwhile: readonly Meanwhile[]
}
