import type { Place } from '../model/profiler.ts'

/** A function, as a stack names it. */
export interface Frame {
  readonly name: string
  /** Path or URL; '' where it is native. */
  readonly file: string
  /** Where the function begins, from 1; 0 where it is not known. */
  readonly line: number
}

/** A stack, as its innermost function and the stack of its caller: stacks share what they have in common. */
export interface Stack {
  readonly frame: Frame
  readonly caller: Stack | undefined
}

/** The same, with nothing in place of what is not known. */
export function asPlace({ name, file, line }: Frame): Place {
  return { name, file: file === '' ? undefined : file, line: line === 0 ? undefined : line }
}

export const GARBAGE_COLLECTION = '(garbage collection)'

/** The functions of a stack, the innermost first. */
export function* framesOf(stack: Stack): IterableIterator<Frame> {
  for (let at: Stack | undefined = stack; at !== undefined; at = at.caller) yield at.frame
}

/** Whether a function is of the app's own: neither Node's nor of a package it has installed. */
export function isOwn({ file }: Frame): boolean {
  return file !== '' && !file.startsWith('node:') && !/[\\/]node_modules[\\/]/.test(file)
}

/** The innermost function of the app's own, or else the innermost that has a name. */
export function placeOf(stack: Stack): Frame {
  for (const frame of framesOf(stack)) if (isOwn(frame)) return frame
  for (const frame of framesOf(stack)) if (!frame.name.startsWith('(')) return frame
  return stack.frame
}

/**
 * Makes equal stacks one object, and equal functions too. When it knows too many it begins anew: those that samples still
 * refer to live on, so memory is bounded by the samples.
 */
export class StackTable {
  readonly #most: number
  #frames = new Map<string, Frame>()
  #roots = new Map<Frame, Stack>()
  #callees = new Map<Stack, Map<Frame, Stack>>()
  #size = 0

  constructor(most = 20_000) {
    this.#most = most
  }

  get size(): number {
    return this.#size
  }

  frame(name: string, file: string, line: number): Frame {
    const key = `${line}\n${file}\n${name}`
    let frame = this.#frames.get(key)
    if (frame === undefined) {
      frame = { name, file, line }
      this.#frames.set(key, frame)
    }
    return frame
  }

  /** @param frames The outermost first; at least one. */
  stack(frames: Iterable<Frame>): Stack {
    let stack: Stack | undefined
    for (const frame of frames) stack = this.#callee(stack, frame)
    return stack!
  }

  /** To be called between two batches of stacks. */
  trim(): void {
    if (this.#size <= this.#most) return
    this.#frames = new Map()
    this.#roots = new Map()
    this.#callees = new Map()
    this.#size = 0
  }

  #callee(caller: Stack | undefined, frame: Frame): Stack {
    let known = caller === undefined ? this.#roots : this.#callees.get(caller)
    if (known === undefined) {
      known = new Map()
      this.#callees.set(caller!, known)
    }
    let stack = known.get(frame)
    if (stack === undefined) {
      stack = { frame, caller }
      known.set(frame, stack)
      this.#size++
    }
    return stack
  }
}
