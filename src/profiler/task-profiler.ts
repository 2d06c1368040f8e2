import type { Held, ProfiledJob, Profiler, ProfilerHost, ProfileView } from '../model/profiler.ts'
import type { AttemptEnd } from '../model/seam.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import { AskedProfiles } from './asked.ts'
import { Capture } from './capture.ts'
import { KeptProfiles, type SlowProfile } from './kept.ts'
import { Profile } from './profile.ts'
import type { Meanwhile } from './profile-source.ts'
import { Attempt, type AttemptOwner, type Sample } from './sample.ts'
import { type SamplerUse, sampler } from './sampler.ts'
import { SlowAttempts, type SlowRule } from './slow.ts'
import { asPlace, type Frame, GARBAGE_COLLECTION, isOwn, placeOf } from './stacks.ts'

/** What `startProfiler` asks for. */
export interface ContinuousPlan {
  readonly rate: number
  /** undefined: off. */
  readonly slow: SlowRule | undefined
  readonly directory: string | undefined
  readonly keep: number
}

interface Continuous {
  readonly use: SamplerUse
  readonly slow: SlowAttempts | undefined
  readonly kept: KeptProfiles
  readonly directory: string | undefined
}

/** The profiler of one `createTasks`: labels its attempts, and tells what the samples say of them. */
export class TaskProfiler implements Profiler, AttemptOwner {
  readonly #host: ProfilerHost
  readonly #asked = new AskedProfiles()
  readonly #running = new Map<ProfiledJob, Attempt>()
  readonly #captures = new Set<Capture>()
  #continuous: Continuous | undefined
  #failed = false

  constructor(host: ProfilerHost) {
    this.#host = host
  }

  get continuous(): boolean {
    return this.#continuous !== undefined
  }

  /** Samples from now on, whether a task asks for it or not. */
  begin({ rate, slow, directory, keep }: ContinuousPlan): void {
    this.#continuous = {
      use: sampler.use(rate),
      slow: slow && new SlowAttempts(slow),
      kept: new KeptProfiles(keep, directory, (line) => this.#host.log(line)),
      directory,
    }
  }

  /** Ends what `begin` began. @param kept Of that; another that has begun since goes on. Resolves when all profiles are written. */
  async end(kept = this.#continuous?.kept): Promise<void> {
    const continuous = this.#continuous
    if (continuous !== undefined && continuous.kept === kept) {
      for (const capture of this.#captures) capture.finish()
      sampler.fetch()
      this.#continuous = undefined
      continuous.use.stop()
    }
    await kept?.written
  }

  close(): void {
    this.#asked.close()
    void this.end()
  }

  get kept(): KeptProfiles | undefined {
    return this.#continuous?.kept
  }

  starting(job: ProfiledJob): void {
    if (job.profile === undefined) return
    try {
      this.#asked.starting(job)
    } catch (error) {
      selfHealth.caught('profiler')
      if (!this.#failed) this.#host.log(`afterspan: ${(error as Error).message}`)
      this.#failed = true
    }
  }

  run<T>(job: ProfiledJob, handler: () => T): T {
    if (sampler.rate === 0) return handler()
    const attempt = new Attempt(this, job, performance.now())
    this.#running.set(job, attempt)
    return sampler.run(attempt, handler)
  }

  ending(job: ProfiledJob, end: AttemptEnd): void {
    const attempt = this.#running.get(job)
    if (attempt === undefined) return
    this.#running.delete(job)
    attempt.over = !end.zombie
    try {
      this.#noteIfSlow(attempt, job, end.duration)
      if (job.profile !== undefined) {
        const text = this.#asked.ending(job, (label, since) => this.profile(label, since))
        if (text !== undefined) this.#host.log(text)
      }
      for (const capture of this.#captures) capture.ended(attempt)
    } catch {
      selfHealth.caught('profiler')
    }
  }

  held(since: number, until: number): Held[] | undefined {
    if (sampler.rate === 0) return undefined
    sampler.fetch()
    const found = new Map<Attempt, { held: number; samples: number; places: Map<Frame, number> }>()
    // What a sample stands for begins before it and ends after it.
    for (const { attempt, at, wall, stack } of sampler.ring.since(since - 100)) {
      if (attempt.owner !== this || attempt.job === undefined) continue
      const ms = Math.min(until, at + wall / 2) - Math.max(since, at - wall / 2)
      if (ms <= 0) continue
      let known = found.get(attempt)
      if (known === undefined) {
        known = { held: 0, samples: 0, places: new Map() }
        found.set(attempt, known)
      }
      known.held += ms
      known.samples++
      const place = placeOf(stack)
      known.places.set(place, (known.places.get(place) ?? 0) + ms)
    }
    return [...found]
      .map(([{ job, attempt }, { held, samples, places }]) => ({
        job: job!,
        attempt,
        held,
        samples,
        place: placed(places),
      }))
      .sort((a, b) => b.held - a.held)
  }

  used(label: string, seconds: number): void {
    // Where only single attempts are sampled, their CPU would look like all that the task has used.
    if (this.#continuous !== undefined) this.#host.useCpu(label, seconds)
  }

  /** What is known of one task or of all, by samples that were fetched. @param since `performance.now()` */
  profile(task: string | undefined, since: number): Profile {
    const samples = this.#samples(since, ({ attempt }) => task === undefined || attempt.label === task)
    const { sampledSince, sampledUntil, lastRate } = sampler
    const from = Math.min(Math.max(since, sampledSince), sampledUntil)
    return new Profile({ task, since: from, until: sampledUntil, rate: lastRate, samples })
  }

  view(label: string, kept?: string): ProfileView | undefined {
    if (kept !== undefined) {
      const found = this.kept?.get(kept)
      return found?.task === label ? found.profile.view() : undefined
    }
    sampler.fetch()
    return this.profile(label, 0).view()
  }

  keptOf(label: string, id: string, attempt: number): string | undefined {
    return this.kept?.get(keptName(label, id, attempt))?.id
  }

  /** Profiles the next attempts of a task, at a rate of its own. */
  capture(task: string, attempts: number, seconds: number, rate: number): Promise<Profile> {
    return new Promise((resolve) => {
      const capture = new Capture(task, attempts, seconds, sampler.use(rate), (since) => {
        this.#captures.delete(capture)
        const samples = this.#samples(since, ({ attempt }) => attempt.label === task && attempt.since >= since)
        resolve(new Profile({ task, since, until: performance.now(), rate, samples }))
      })
      this.#captures.add(capture)
    })
  }

  #samples(since: number, wanted: (sample: Sample) => boolean): Sample[] {
    const samples: Sample[] = []
    for (const sample of sampler.ring.since(since)) {
      if (sample.attempt.owner === this && wanted(sample)) samples.push(sample)
    }
    return samples.reverse()
  }

  #noteIfSlow(attempt: Attempt, job: ProfiledJob, duration: number): void {
    const continuous = this.#continuous
    const until = performance.now()
    const over = continuous?.slow?.check(job.label, duration, until)
    if (over === undefined) return
    sampler.fetch()
    const { label, id, since } = attempt
    const samples: Sample[] = []
    const others = new Map<string, number>()
    for (const sample of sampler.ring.since(since)) {
      if (sample.attempt === attempt) samples.push(sample)
      else others.set(sample.attempt.label, (others.get(sample.attempt.label) ?? 0) + sample.wall / 1000)
    }
    const profile = new Profile({
      task: label,
      since,
      until,
      rate: sampler.rate,
      samples: samples.reverse(),
      meanwhile: longest(others),
    })
    const name = keptName(label, id, attempt.attempt)
    const file = continuous!.directory === undefined ? undefined : name
    const kept: SlowProfile = {
      id: name,
      task: label,
      taskId: id,
      attempt: attempt.attempt,
      duration: duration / 1000,
      over,
      file,
      profile,
    }
    continuous!.kept.add(kept)
    job.note({ 'task.profile': name, ...(file !== undefined && { 'task.profile.file': `${file}.cpuprofile` }) })
  }
}

function placed(places: ReadonlyMap<Frame, number>): Held['place'] {
  // Garbage is collected, and microtasks are run, for somebody: a function of the app's own says more.
  const rank = (frame: Frame) => (isOwn(frame) ? 0 : frame.name === GARBAGE_COLLECTION ? 2 : 1)
  const [place] = [...places].sort(([a, held], [b, more]) => rank(a) - rank(b) || more - held)
  return place && asPlace(place[0])
}

function longest(others: ReadonlyMap<string, number>): Meanwhile[] {
  return [...others]
    .map(([task, seconds]) => ({ task, seconds }))
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, 5)
}

function keptName(label: string, id: string, attempt: number): string {
  return `${plain(label)}-${plain(id)}-${attempt}`
}

/** What of a name can be a part of a file's on every system. */
function plain(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, 80)
}
