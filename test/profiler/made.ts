import { Profile } from '../../src/profiler/profile.ts'
import type { Measured, ProfileSource } from '../../src/profiler/profile-source.ts'
import { type Frame, StackTable } from '../../src/profiler/stacks.ts'

const table = new StackTable()

/** `name`, or `name file:line`. */
export function frame(text: string): Frame {
  const [, name, file = '', line = '0'] = /^(.*?)(?: ([^ ]+):(\d+))?$/s.exec(text)!
  return table.frame(name!, file, Number(line))
}

/** A sample of 10 ms. @param stack The outermost function first. */
export function sample(at: number, stack: readonly string[], label = 'resize', attempt: object = { label }): Measured {
  return { attempt: attempt as { label: string }, stack: table.stack(stack.map(frame)), at, wall: 10, cpu: 8 }
}

export function profile(samples: readonly Measured[], source: Partial<ProfileSource> = {}): Profile {
  return new Profile({ task: 'resize', since: 0, until: 1_000, rate: 100, samples, ...source })
}
