import type { Work } from './cells.ts'

/** The payload of a task. */
export interface Job {
  readonly work: Work
  /** Whom to ask. */
  readonly url: string
  /** What to compute, and what comes out. */
  readonly iterations: number
  readonly key: string
}

/** A task that has not done its work has failed, however fast it was. */
export function check({ key }: Job, computed: string): void {
  if (computed !== key) throw new Error('Computed something else.')
}
