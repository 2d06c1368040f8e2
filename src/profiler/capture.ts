import type { Attempt } from './sample.ts'
import { type SamplerUse, sampler } from './sampler.ts'

/** One capture on demand: it is finished after so many attempts that began in it, or so many seconds. */
export class Capture {
  readonly #task: string
  readonly #use: SamplerUse
  readonly #since = performance.now()
  readonly #timer: NodeJS.Timeout
  #done: ((since: number) => void) | undefined
  #missing: number

  /** @param done Called once, with `performance.now()` of the beginning, when all samples are fetched. */
  constructor(task: string, attempts: number, seconds: number, use: SamplerUse, done: (since: number) => void) {
    this.#task = task
    this.#use = use
    this.#missing = attempts
    this.#done = done
    this.#timer = setTimeout(() => this.finish(), seconds * 1000)
  }

  ended({ label, since }: Attempt): void {
    if (label !== this.#task || since < this.#since) return
    this.#missing--
    if (this.#missing === 0) this.finish()
  }

  finish(): void {
    const done = this.#done
    if (done === undefined) return
    this.#done = undefined
    clearTimeout(this.#timer)
    sampler.fetch()
    this.#use.stop()
    done(this.#since)
  }
}
