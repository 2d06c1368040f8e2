import { PRIORITIES } from '../model/words.ts'
import type { Job, TaskQueue } from './task-queue.ts'

/** Where the jobs of a task can wait. */
export interface Waiting<J extends Job> {
  readonly task: TaskQueue<J>
  /** Delayed and retrying, of all tasks, in no order. */
  readonly timed: { jobs(): Iterable<J> }
  /** Held, of all tasks, in the order in which they were deferred. */
  readonly held: { jobs(): Iterable<J> }
}

export interface WaitingPage<J> {
  readonly jobs: readonly J[]
  /** Where the next page begins; undefined at the end. */
  readonly next: string | undefined
}

/** Jobs that wait in one place, by what they start in order of: two numbers, so that no two are alike. */
interface Section<J> {
  readonly jobs: Iterable<J>
  readonly order: (job: J) => readonly [number, number]
  /** `jobs` are in that order already. */
  readonly sorted: boolean
}

/**
 * A part of what waits of a task, in the order in which it starts as far as that is known: on its way to an engine, ready by
 * priority, gathering for a batch, delayed and retrying by when they are due, held. A million that wait are walked over, not
 * copied: memory is that of the page. What starts or comes in between two pages is not a reason to miss the others.
 *
 * @param after What `next` of the page before was; anything else begins anew.
 */
export function waitingPage<J extends Job>(
  waiting: Waiting<J>,
  after: string | undefined,
  limit: number,
): WaitingPage<J> {
  const [from, ...last] = cursorOf(after)
  const found: { readonly job: J; readonly cursor: string }[] = []
  const sections = sectionsOf(waiting)
  for (let index = from; index < sections.length && found.length <= limit; index++) {
    const { jobs, order, sorted } = sections[index]!
    const isAfter = (job: J) => index > from || compare(order(job), last) > 0
    // One more than asked for tells whether there is a next page.
    const missing = limit + 1 - found.length
    for (const job of sorted ? first(jobs, isAfter, missing) : smallest(jobs, isAfter, order, missing)) {
      found.push({ job, cursor: [index, ...order(job)].join('_') })
    }
  }
  const page = found.slice(0, limit)
  return { jobs: page.map(({ job }) => job), next: found.length > limit ? page.at(-1)?.cursor : undefined }
}

/** The job of this id that waits, of any of these tasks; a walk over all that do. */
export function findWaiting<J extends Job>(tasks: Iterable<Waiting<J>>, id: string): J | undefined {
  const found = (jobs: Iterable<J>) => {
    for (const job of jobs) if (job.id === id && job.state !== 'running') return job
    return undefined
  }
  let all: Waiting<J> | undefined
  for (const waiting of tasks) {
    all = waiting
    const job = found(waiting.task.offered) ?? found(waiting.task.readyJobs())
    if (job !== undefined) return job
  }
  return all && (found(all.timed.jobs()) ?? found(all.held.jobs()))
}

function sectionsOf<J extends Job>({ task, timed, held }: Waiting<J>): Section<J>[] {
  const bySeq = ({ seq }: J) => [seq, 0] as const
  const byTurn = ({ rank, seq }: J) => [rank, seq] as const
  const own = (job: J) => job.task === (task as unknown)
  return [
    { jobs: task.offered, order: bySeq, sorted: true },
    ...PRIORITIES.map((priority) => ({ jobs: task.waitingIn(priority), order: byTurn, sorted: true })),
    { jobs: task.batched(), order: ({ readyAt, seq }) => [readyAt, seq], sorted: false },
    { jobs: only(timed.jobs(), (job) => own(job) && isTimed(job)), order: byTurn, sorted: false },
    { jobs: only(held.jobs(), own), order: bySeq, sorted: true },
  ]
}

function isTimed({ state }: Job): boolean {
  return state === 'delayed' || state === 'retrying'
}

function* only<J>(jobs: Iterable<J>, wanted: (job: J) => boolean): Iterable<J> {
  for (const job of jobs) if (wanted(job)) yield job
}

function* first<J>(jobs: Iterable<J>, wanted: (job: J) => boolean, limit: number): Iterable<J> {
  let left = limit
  for (const job of jobs) {
    if (!wanted(job)) continue
    yield job
    if (--left === 0) return
  }
}

/** The first ones of jobs in no order: at no time are more than twice as many kept. */
function smallest<J>(
  jobs: Iterable<J>,
  wanted: (job: J) => boolean,
  order: (job: J) => readonly [number, number],
  limit: number,
): readonly J[] {
  const sort = () => kept.sort((one, other) => compare(order(one), order(other)))
  const kept: J[] = []
  let most: readonly number[] | undefined
  for (const job of jobs) {
    if (!wanted(job) || (most !== undefined && compare(order(job), most) > 0)) continue
    kept.push(job)
    if (kept.length < 2 * limit) continue
    sort().length = limit
    most = order(kept[limit - 1]!)
  }
  return sort().slice(0, limit)
}

function compare(one: readonly number[], other: readonly number[]): number {
  return one[0]! - (other[0] ?? Number.NEGATIVE_INFINITY) || one[1]! - (other[1] ?? Number.NEGATIVE_INFINITY)
}

/** Section, and the place in it, of the last job of the page before. */
function cursorOf(after: string | undefined): [number, ...number[]] {
  const numbers = (after ?? '').split('_').map(Number)
  const [section = -1] = numbers
  const known = numbers.length === 3 && numbers.every(Number.isFinite) && Number.isInteger(section) && section >= 0
  return known ? (numbers as [number, number, number]) : [0]
}
