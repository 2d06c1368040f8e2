import { getHeapStatistics, type HeapInfo } from 'node:v8'
import type { Deferral } from './deferral.ts'
import type { Foreground } from './foreground.ts'

/** From one attempt of a task that is looked at to the next, ms: asking V8 costs microseconds. */
const EVERY = 1_000

/** By how much the heap grew in a window, and what was allocated where V8 counts it (from Node 25 on). Bytes. */
export interface HeapGrowth {
  readonly growth: number
  readonly allocated: number | undefined
}

interface Window {
  readonly job: Deferral
  readonly before: HeapInfo & { readonly total_allocated_bytes?: number }
  /** undefined: something else is under way. */
  readonly solitude: number | undefined
}

/**
 * Estimates by how much an attempt in this process lets the heap grow: the heap is all of the process's, so only some
 * attempts can be told, those that ran to their end in one synchronous stretch, and those during which no other attempt and
 * no request was under way.
 */
export class HeapWindows {
  readonly #foreground: Foreground
  readonly #next = new Map<string, number>()
  readonly #open = new Map<Deferral, Window>()

  constructor(foreground: Foreground) {
    this.#foreground = foreground
  }

  /** What this task does happens in a heap of its own, which is measured there. */
  leaveOut(label: string): void {
    this.#next.set(label, Number.POSITIVE_INFINITY)
  }

  /** The handler is about to be called. */
  open(job: Deferral, now: number): void {
    if (now < (this.#next.get(job.label) ?? 0)) return
    this.#next.set(job.label, now + EVERY)
    this.#open.set(job, { job, before: getHeapStatistics(), solitude: this.#foreground.solitude })
  }

  /** The handler was called; `pending`: what it returned is a promise. */
  called(job: Deferral, pending: boolean): HeapGrowth | undefined {
    const window = this.#open.get(job)
    if (window === undefined) return undefined
    if (!pending) return this.#close(window)
    if (window.solitude === undefined) this.#open.delete(job)
    return undefined
  }

  /** The attempt ends. */
  ending(job: Deferral): HeapGrowth | undefined {
    const window = this.#open.get(job)
    if (window === undefined) return undefined
    if (window.solitude === this.#foreground.solitude) return this.#close(window)
    this.#open.delete(job)
    return undefined
  }

  #close({ job, before }: Window): HeapGrowth {
    this.#open.delete(job)
    const after: Window['before'] = getHeapStatistics()
    return {
      growth: Math.max(0, after.used_heap_size - before.used_heap_size),
      allocated:
        after.total_allocated_bytes === undefined
          ? undefined
          : after.total_allocated_bytes - (before.total_allocated_bytes ?? 0),
    }
  }
}
