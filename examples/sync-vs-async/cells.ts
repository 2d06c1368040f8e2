/** What is compared: two kinds of work, each in every way in which a handler can do it. */

export type Work = 'io' | 'cpu'
export type Mode = 'sync' | 'async' | 'slices' | 'pool' | 'worker'

export interface Cell {
  readonly work: Work
  readonly mode: Mode
}

export const CELLS: readonly Cell[] = [
  { work: 'io', mode: 'sync' },
  { work: 'io', mode: 'async' },
  { work: 'io', mode: 'worker' },
  { work: 'cpu', mode: 'sync' },
  { work: 'cpu', mode: 'async' },
  { work: 'cpu', mode: 'slices' },
  { work: 'cpu', mode: 'pool' },
  { work: 'cpu', mode: 'worker' },
]

export const WORKS: Readonly<Record<Work, string>> = { io: 'waits for HTTP', cpu: 'computes' }

export const MODES: Readonly<Record<Mode, string>> = {
  sync: 'sync',
  async: 'async',
  slices: 'async, slices',
  pool: 'async, libuv',
  worker: 'worker thread',
}

/** How long one task takes where nothing disturbs it, ms. */
export const TASK_MS = 20
/** Requests per second that defer a task each: more than one thread can do, so that a backlog shows who falls behind. */
export const TASKS_PER_SECOND = 80
/** Requests per second that ask for `/ping`. */
export const PINGS_PER_SECOND = 200
