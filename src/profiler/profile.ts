import { writeFile } from 'node:fs/promises'
import { checkNumber } from '../model/check.ts'
import { AfterspanError } from '../model/errors.ts'
import { type CpuProfile, cpuProfileOf } from './cpuprofile.ts'
import { flameGraphOf } from './flamegraph.ts'
import { pprofOf } from './pprof-file.ts'
import type { Sample } from './sample.ts'
import { framesOf, isOwn } from './stacks.ts'
import { textOf } from './text.ts'

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

/**
 * What a task did with the thread, by samples of its stacks. Seconds are an estimate: each sample stands for the time up to
 * half the way to the samples beside it.
 */
export class Profile {
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
  readonly #source: ProfileSource
  #rows: ProfileRow[] | undefined

  constructor(source: ProfileSource) {
    const { task, since, until, rate, samples, meanwhile = [] } = source
    this.#source = source
    this.task = task
    this.from = new Date(performance.timeOrigin + since)
    this.seconds = (until - since) / 1000
    this.rate = rate
    this.samples = samples.length
    this.attempts = new Set(samples.map(({ attempt }) => attempt)).size
    this.busy = sum(samples.map(({ wall }) => wall)) / 1000
    this.cpu = sum(samples.map(({ cpu }) => cpu)) / 1000
    this.meanwhile = meanwhile
  }

  /** The functions that took most, by the time in themselves. */
  top(n = 10): ProfileRow[] {
    checkNumber('n', n, { min: 1, max: Number.POSITIVE_INFINITY, whole: true })
    this.#rows ??= rowsOf(this.#source.samples, this.busy)
    return this.#rows.slice(0, n)
  }

  /**
   * The functions that took most, as a table, in the manner of Python's cProfile. What only called others, and is not of the
   * app's own, is left out.
   */
  text(n = 10): string {
    const rows = this.top(Number.POSITIVE_INFINITY).filter((row) => row.samples > 0 || isOwn(row))
    return textOf(this, rows.slice(0, n))
  }

  /** The figures, and all functions. */
  toJSON(): object {
    const { task, from, seconds, rate, samples, attempts, busy, cpu, meanwhile } = this
    const functions = this.top(Number.POSITIVE_INFINITY)
    return { task, from, seconds, rate, samples, attempts, busy, cpu, meanwhile, functions }
  }

  /** Gzipped, for `go tool pprof`, speedscope, Pyroscope, …. */
  pprof(): Buffer {
    return pprofOf(this.#source)
  }

  /** For Chrome's DevTools and VS Code: what a `.cpuprofile` file holds as JSON. */
  cpuprofile(): CpuProfile {
    return cpuProfileOf(this.#source)
  }

  /** A picture by itself: SVG without scripts. */
  flamegraph(): string {
    return flameGraphOf(this.#source, this.busy)
  }

  /**
   * Writes a file in the format that its name asks for: `.txt`, `.json`, `.pb.gz`, `.cpuprofile`, `.svg`.
   *
   * @throws AfterspanError ERR_AFTERSPAN_OPTION for another name; what the file system throws.
   */
  async save(path: string): Promise<void> {
    const format = Object.keys(FORMATS).find((ending) => String(path).endsWith(ending))
    if (format === undefined) {
      throw new AfterspanError(
        'ERR_AFTERSPAN_OPTION',
        `Expected \`path\` to end in ${Object.keys(FORMATS).join(', ')}, got \`${String(path).slice(0, 200)}\`.`,
      )
    }
    await writeFile(path, FORMATS[format]!(this))
  }
}

const FORMATS: Record<string, (profile: Profile) => string | Buffer> = {
  '.txt': (profile) => `${profile.text(100)}\n`,
  '.json': (profile) => `${JSON.stringify(profile, undefined, 2)}\n`,
  '.pb.gz': (profile) => profile.pprof(),
  '.cpuprofile': (profile) => JSON.stringify(profile.cpuprofile()),
  '.svg': (profile) => profile.flamegraph(),
}

function rowsOf(samples: readonly Measured[], busy: number): ProfileRow[] {
  const rows = new Map<object, { -readonly [K in keyof ProfileRow]: ProfileRow[K] }>()
  for (const { stack, wall } of samples) {
    // A function that is on the stack twice is in it once.
    for (const frame of new Set(framesOf(stack))) {
      let row = rows.get(frame)
      if (row === undefined) {
        row = { ...frame, samples: 0, self: 0, total: 0, selfShare: 0, totalShare: 0 }
        rows.set(frame, row)
      }
      row.total += wall / 1000
      if (frame !== stack.frame) continue
      row.samples++
      row.self += wall / 1000
    }
  }
  for (const row of rows.values()) {
    row.selfShare = busy === 0 ? 0 : row.self / busy
    row.totalShare = busy === 0 ? 0 : row.total / busy
  }
  return [...rows.values()].sort((a, b) => b.self - a.self || b.total - a.total)
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0)
}
