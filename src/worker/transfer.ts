import type { Transferable } from 'node:worker_threads'

/** A value that is handed over instead of copied: what is in `list` is gone on this side. */
export class Transfer<T = unknown> {
  readonly value: T
  readonly list: readonly Transferable[]

  constructor(value: T, list: readonly Transferable[]) {
    this.value = value
    this.list = list
  }
}

/** For a handler in a worker thread: returns a value with buffers that are handed over and not copied. */
export function transfer<T>(value: T, list: readonly Transferable[]): Transfer<T> {
  return new Transfer(value, list)
}
