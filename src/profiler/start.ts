import { Tasks } from '../background/tasks.ts'
import { checkNumber, checkObject, MAX_MS } from '../model/check.ts'
import { AfterspanError } from '../model/errors.ts'
import { sampler } from './sampler.ts'
import { type ContinuousPlan, TaskProfiler } from './task-profiler.ts'

const attached = new WeakMap<Tasks, TaskProfiler>()

/**
 * Makes ready for the tasks that ask for a profile: sampled is only while an attempt of one of them runs.
 *
 * @throws AfterspanError ERR_AFTERSPAN_MISSING_PEER, ERR_AFTERSPAN_PROFILER.
 */
export function profileAsked(tasks: Tasks): void {
  sampler.check()
  attach(tasks)
}

/** @throws AfterspanError ERR_AFTERSPAN_MISSING_PEER, ERR_AFTERSPAN_PROFILER. */
export function profileAll(tasks: Tasks, plan: ContinuousPlan): TaskProfiler {
  const known = attached.get(tasks)
  if (known?.continuous === true) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_PROFILER',
      'These tasks have a profiler that runs already. Call startProfiler once, and share what it returns.',
    )
  }
  sampler.check()
  const profiler = known ?? attach(tasks)
  profiler.begin(plan)
  return profiler
}

function attach(tasks: Tasks): TaskProfiler {
  let made: TaskProfiler | undefined
  Tasks.attachProfiler(tasks, (host) => {
    made = new TaskProfiler(host)
    return made
  })
  const profiler = made!
  attached.set(tasks, profiler)
  // The latest samples, and files, while telemetry can still be sent.
  Tasks.whenClosed(tasks, () => profiler.end())
  return profiler
}

/** Options of `startProfiler`. */
export interface ProfilerOptions {
  /** Samples a second: 10 to 2,000. Default 100. */
  rate?: number
  /** When an attempt is profiled by itself; `false`: never. Default: when it takes 3 x the p99 of its task. */
  slow?: SlowOptions | false
  /** Where the profiles of slow attempts are written. It must exist. Default: nowhere, they are in memory only. */
  directory?: string
  /** How many profiles of slow attempts are kept, in memory and in `directory`: 1 to 1,000. Default 20. */
  keep?: number
}

export interface SlowOptions {
  /** An attempt that takes as long as this is slow, in ms: 1 to 2^31 - 1. Default: none. */
  threshold?: number
  /** So is one that takes more than this times the p99 of its task, of which there must have been 100: 1 to 1,000. Default: 3, or none with `threshold`. */
  factor?: number
  /** How many are profiled in a minute at most: 1 to 1,000. Default 6. */
  perMinute?: number
}

const SLOW_FACTOR = 3

/** @throws AfterspanError ERR_AFTERSPAN_OPTION. */
export function resolveProfiler(options: ProfilerOptions | undefined): ContinuousPlan {
  const given = checkObject('options', options, ['rate', 'slow', 'directory', 'keep'])
  if (given.directory !== undefined && (typeof given.directory !== 'string' || given.directory === '')) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_OPTION',
      `Expected \`directory\` to be the path of a directory, got ${given.directory === '' ? 'an empty string' : typeof given.directory}.`,
    )
  }
  return {
    rate: checkNumber('rate', given.rate, { min: 10, max: 2_000 }) ?? 100,
    slow: resolveSlow(given.slow),
    directory: given.directory,
    keep: checkNumber('keep', given.keep, { min: 1, max: 1_000, whole: true }) ?? 20,
  }
}

function resolveSlow(slow: SlowOptions | false | undefined): ContinuousPlan['slow'] {
  if (slow === false) return undefined
  const given = checkObject('slow', slow, ['threshold', 'factor', 'perMinute'])
  const threshold = checkNumber('slow.threshold', given.threshold, { min: 1, max: MAX_MS })
  return {
    threshold,
    factor:
      checkNumber('slow.factor', given.factor, { min: 1, max: 1_000 }) ??
      (threshold === undefined ? SLOW_FACTOR : undefined),
    perMinute: checkNumber('slow.perMinute', given.perMinute, { min: 1, max: 1_000, whole: true }) ?? 6,
  }
}
