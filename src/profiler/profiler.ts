import { Tasks } from '../background/tasks.ts'
import { checkNumber, checkObject } from '../model/check.ts'
import { AfterspanError } from '../model/errors.ts'
import type { KeptProfiles, SlowProfile } from './kept.ts'
import type { Profile } from './profile.ts'
import { sampler } from './sampler.ts'
import { type ProfilerOptions, profileAll, resolveProfiler } from './start.ts'
import type { TaskProfiler } from './task-profiler.ts'

/** What a capture takes. */
export interface CaptureOptions {
  /** It is over after so many attempts that began in it: 1 to 10,000. Default 1. */
  attempts?: number
  /** It is over after this time in any case, in s: 0.01 to 3,600. Default 30. */
  seconds?: number
  /**
   * Samples a second: 10 to 2,000. Default 1,000. Where that is more than the profiler takes anyway, it begins anew, twice: the event loop
   * stands still for about 1 ms for each MB of the heap, and attempts that run at that moment are not seen until they end.
   */
  rate?: number
}

/** A profiler that runs: what `startProfiler` returns. */
export class RunningProfiler {
  readonly #profiler: TaskProfiler
  readonly #kept: KeptProfiles

  constructor(profiler: TaskProfiler) {
    this.#profiler = profiler
    this.#kept = profiler.kept!
  }

  /**
   * What one task did, or all of them, by the samples that are kept: the latest 30,000, for 10 minutes at most.
   *
   * @throws AfterspanError ERR_AFTERSPAN_OPTION.
   */
  profile(task?: string | { readonly name: string }, options?: { since?: Date | number }): Profile {
    const { since } = checkObject('options', options, ['since'])
    const epoch = since instanceof Date ? since.getTime() : since
    checkNumber('since', epoch, { min: 0, max: Number.MAX_SAFE_INTEGER })
    sampler.fetch()
    return this.#profiler.profile(nameOf(task), epoch === undefined ? 0 : epoch - performance.timeOrigin)
  }

  /**
   * Samples the next attempts of one task at a higher rate.
   *
   * @throws AfterspanError ERR_AFTERSPAN_OPTION, as a rejection.
   */
  async capture(task: string | { readonly name: string }, options?: CaptureOptions): Promise<Profile> {
    const given = checkObject('options', options, ['attempts', 'seconds', 'rate'])
    const attempts = checkNumber('attempts', given.attempts, { min: 1, max: 10_000, whole: true }) ?? 1
    const seconds = checkNumber('seconds', given.seconds, { min: 0.01, max: 3_600 }) ?? 30
    const rate = checkNumber('rate', given.rate, { min: 10, max: 2_000 }) ?? 1_000
    const name = nameOf(task)
    if (name === undefined) {
      throw new AfterspanError('ERR_AFTERSPAN_OPTION', 'Expected `task` to be the name of a task, or a task.')
    }
    return this.#profiler.capture(name, attempts, seconds, rate)
  }

  /** The profiles of slow attempts that are kept, the latest first. */
  profiles(): SlowProfile[] {
    return this.#kept.all
  }

  /** One of them, by what its span has as `task.profile`. */
  get(id: string): SlowProfile | undefined {
    return this.#kept.get(id)
  }

  /** Ends it; resolves when the profiles of slow attempts are written. What was sampled can still be read. */
  stop(): Promise<void> {
    return this.#profiler.end(this.#kept)
  }
}

/**
 * Samples the stacks of all attempts that run in this thread, from now on until `stop()` or `tasks.close()`: CPU seconds of each
 * task as `afterspan.task.cpu`, who holds the event loop as `afterspan.task.blocked`, and profiles. To be called when the
 * app starts: to begin walks the whole heap.
 *
 * @throws AfterspanError ERR_AFTERSPAN_TASKS, ERR_AFTERSPAN_OPTION, ERR_AFTERSPAN_MISSING_PEER, ERR_AFTERSPAN_PROFILER.
 */
export function startProfiler(tasks: Tasks, options?: ProfilerOptions): RunningProfiler {
  if (!(tasks instanceof Tasks)) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_TASKS',
      `startProfiler takes what createTasks() returned, got ${tasks === null ? 'null' : typeof tasks}.`,
    )
  }
  return new RunningProfiler(profileAll(tasks, resolveProfiler(options)))
}

function nameOf(task: string | { readonly name: string } | undefined): string | undefined {
  if (task === undefined || typeof task === 'string') return task
  if (typeof task?.name === 'string') return task.name
  throw new AfterspanError(
    'ERR_AFTERSPAN_OPTION',
    `Expected \`task\` to be the name of a task, or a task, got ${task === null ? 'null' : typeof task}.`,
  )
}
