import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { selfHealth } from '../telemetry/self-health.ts'
import type { Profile } from './profile.ts'

/** A profile that was made by itself. */
export interface SlowProfile {
  /** Also on the attempt's span, as `task.profile`. */
  readonly id: string
  readonly task: string
  /** The deferral's. */
  readonly taskId: string
  /** From 1. */
  readonly attempt: number
  /** Seconds that the attempt took. */
  readonly duration: number
  /** Which limit it was over: the `threshold`, or `factor` x the `p99` of its task. */
  readonly over: 'threshold' | 'p99'
  /** In `directory`, without its ending: `.cpuprofile` and `.pb.gz`. undefined where there is no directory. */
  readonly file: string | undefined
  readonly profile: Profile
}

const ENDINGS = ['.cpuprofile', '.pb.gz'] as const

/** The latest profiles of slow attempts, in memory and on disk. */
export class KeptProfiles {
  readonly #most: number
  readonly #directory: string | undefined
  readonly #said: (line: string) => void
  readonly #profiles = new Map<string, SlowProfile>()
  #writing: Promise<void> = Promise.resolve()
  #failed = false

  constructor(most: number, directory: string | undefined, said: (line: string) => void) {
    this.#most = most
    this.#directory = directory
    this.#said = said
  }

  /** The latest first. */
  get all(): SlowProfile[] {
    return [...this.#profiles.values()].reverse()
  }

  get(id: string): SlowProfile | undefined {
    return this.#profiles.get(id)
  }

  /** Resolves when the files are written. */
  get written(): Promise<void> {
    return this.#writing
  }

  add(kept: SlowProfile): void {
    this.#profiles.set(kept.id, kept)
    this.#then(() => Promise.all(this.#files(kept).map((path) => kept.profile.save(path))))
    while (this.#profiles.size > this.#most) {
      const oldest = this.#profiles.values().next().value!
      this.#profiles.delete(oldest.id)
      this.#then(() => Promise.all(this.#files(oldest).map((path) => rm(path, { force: true }))))
    }
  }

  #files({ file }: SlowProfile): string[] {
    return file === undefined ? [] : ENDINGS.map((ending) => join(this.#directory!, `${file}${ending}`))
  }

  #then(work: () => Promise<unknown>): void {
    this.#writing = this.#writing.then(work).then(
      () => {},
      (error: Error) => {
        selfHealth.caught('profiler')
        if (this.#failed) return
        this.#failed = true
        this.#said(`afterspan: profiles cannot be written: ${error.message}`)
      },
    )
  }
}
