import type { ProfiledJob } from '../model/profiler.ts'
import type { Profile } from './profile.ts'
import { type SamplerUse, sampler } from './sampler.ts'

/** With fewer samples than this, further attempts are added, where the sampler runs anyway. */
const ENOUGH = 50
/** How often it is looked whether there are enough, ms. */
const LOOK = 1_000
/** To begin takes no more than this share of all time. */
const BEGIN_SHARE = 1 / 1_000

interface Open {
  readonly since: number
  readonly use: SamplerUse
  /** The deferral whose attempt it is; undefined when that has ended and others are added. */
  job: ProfiledJob | undefined
  lookAt: number
  /** ms. */
  readonly beginTook: number
}

/** Tells when the attempt of a task that asks for it is to be profiled: the first, and one in each stretch of `every`. */
export class AskedProfiles {
  readonly #open = new Map<string, Open>()
  /** `performance.now()` of the next one, by label. */
  readonly #due = new Map<string, number>()

  starting(job: ProfiledJob): void {
    const { profile, label } = job
    if (profile === undefined) return
    const open = this.#open.get(label)
    // Others are added to it, unless the sampler that ran anyway does so no more.
    if (open !== undefined && (open.job !== undefined || sampler.rate > 0)) return
    this.#open.delete(label)
    const now = performance.now()
    if (now < (this.#due.get(label) ?? 0)) return
    const running = sampler.rate > 0
    // A sampler that runs is taken as it is: to begin anew would take its labels from all that run.
    const use = sampler.use(running ? sampler.rate : profile.rate)
    const beginTook = running ? 0 : sampler.beginTook
    this.#due.set(label, now + (profile.every === 0 ? 0 : Math.max(profile.every, beginTook / BEGIN_SHARE)))
    this.#open.set(label, { since: performance.now(), use, job, lookAt: 0, beginTook })
  }

  /** The profile that is ready with the end of an attempt. */
  ending(job: ProfiledJob, profileOf: (label: string, since: number) => Profile): string | undefined {
    const open = this.#open.get(job.label)
    if (open === undefined) return undefined
    const now = performance.now()
    if (open.job !== undefined) {
      if (open.job !== job) return undefined
      open.job = undefined
    } else if (now < open.lookAt) return undefined
    sampler.fetch()
    // Only now: where nobody else needs it, the last samples come as it ends.
    open.use.stop()
    open.lookAt = now + LOOK
    const profile = profileOf(job.label, open.since)
    const { every, top } = job.profile!
    if (profile.samples < ENOUGH && sampler.rate > 0 && now - open.since < every) return undefined
    this.#open.delete(job.label)
    const note =
      open.beginTook < 20 ? '' : `\nto begin sampling held the event loop for ${Math.round(open.beginTook)} ms`
    return `afterspan: profile: ${profile.text(top)}${note}`
  }

  close(): void {
    for (const { use } of this.#open.values()) use.stop()
    this.#open.clear()
  }
}
