import { writeFile } from 'node:fs/promises'
import { checkNumber } from '../model/check.ts'
import { AfterspanError } from '../model/errors.ts'
import type { ProfileView } from '../model/profiler.ts'
import { type CpuProfile, cpuProfileOf } from './cpuprofile.ts'
import { flameGraphOf } from './flamegraph.ts'
import { pprofOf } from './pprof-file.ts'
import type { Meanwhile, Measured, ProfileFigures, ProfileRow, ProfileSource } from './profile-source.ts'
import { framesOf, isOwn } from './stacks.ts'
import { textOf } from './text.ts'
import { viewOf } from './view.ts'

/**
 * What a task did with the thread, by samples of its stacks. Seconds are an estimate: each sample stands for the time up to
 * half the way to the samples beside it.
 */
export class Profile implements ProfileFigures {
  readonly task: string | undefined
  readonly from: Date
  readonly seconds: number
  readonly rate: number
  readonly samples: number
  readonly attempts: number
  readonly busy: number
  readonly cpu: number
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

  /** For the page inside the app. */
  view(): ProfileView {
    return viewOf(this, this.top(Number.POSITIVE_INFINITY), this.#source)
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
