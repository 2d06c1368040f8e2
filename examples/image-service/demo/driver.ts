import { setTimeout as sleep } from 'node:timers/promises'
import sharp from 'sharp'
import type { ImageStatus } from '../images.ts'
import { isKind, type Kind } from '../kinds.ts'
import { pick, type Random } from './random.ts'
import type { Upload } from './uploads.ts'

/** What the driver has seen over HTTP, and nothing else: the truth that the metrics are held against. */
export interface Seen {
  /** Uploads that were accepted, by id; the status is undefined until it is final. */
  readonly images: ReadonlyMap<string, { readonly kind: Kind; readonly final: ImageStatus | undefined }>
  /** Uploads answered with 503, for each of which a task was dropped. */
  readonly turnedAway: ReadonlyMap<Kind, number>
  /** Rejected uploads, by `status code`. */
  readonly rejected: ReadonlyMap<string, number>
  /** Results that were fetched and are images of the size and type that the status says. */
  readonly goodResults: number
  /** Answers that were not as they must be. */
  readonly surprises: readonly string[]
}

/** Unfinished images that the driver aims at: enough for a queue to be seen, few enough for it to drain. */
const AIM = 12
const SLOWEST = 0.5
const POLL = 250

/** Sends uploads at a rate that follows what the service can do, and follows each until its status is final. */
export class Driver {
  readonly images = new Map<string, { kind: Kind; final: ImageStatus | undefined }>()
  readonly turnedAway = new Map<Kind, number>()
  readonly rejected = new Map<string, number>()
  readonly surprises: string[] = []
  accepted = 0
  goodResults = 0
  requests = 0
  /** Uploads per second. */
  rate = 5
  readonly #url: string
  readonly #next: () => Upload
  readonly #random: Random
  readonly #fastest: number
  readonly #forget: boolean
  readonly #stop = new AbortController()
  readonly #pending = new Set<string>()
  readonly #underWay = new Set<Promise<void>>()

  /** With `forget`, images whose status is final are not kept in `images`: it can send for days. */
  constructor(url: string, next: () => Upload, random: Random, fastest: number, forget: boolean) {
    this.#url = url
    this.#next = next
    this.#random = random
    this.#fastest = fastest
    this.#forget = forget
  }

  /** Uploads that were accepted and are not known to have ended. */
  get unfinished(): number {
    return this.#pending.size
  }

  /** Sends in bursts, as visitors do, until `stop`. */
  async send(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const burst = pick(this.#random, [1, 1, 2, 3, 5])
      for (let i = 0; i < burst; i++) this.#follow(this.#upload(this.#next()))
      this.#adapt()
      // Exponential gaps, so that arrivals are as uneven as real ones.
      const gap = (-Math.log(1 - this.#random()) * burst) / this.rate
      await sleep(Math.min(gap, 2) * 1000, undefined, { signal }).catch(() => {})
    }
    await Promise.all(this.#underWay)
  }

  /** Asks for the status of each unfinished image until `send` is over and none is left, or until `signal` aborts. */
  async follow(sending: Promise<void>, signal: AbortSignal): Promise<void> {
    let sent = false
    void sending.finally(() => {
      sent = true
    })
    while (!signal.aborted && !(sent && this.#pending.size === 0)) {
      for (const id of [...this.#pending]) {
        if (signal.aborted) break
        await this.#guard(this.#ask(id))
      }
      await sleep(POLL, undefined, { signal }).catch(() => {})
    }
  }

  /** Sends nothing more. */
  stop(): void {
    this.#stop.abort()
  }

  #adapt(): void {
    const { size } = this.#pending
    if (size > AIM) this.rate = Math.max(SLOWEST, this.rate * 0.8)
    else if (size < AIM / 2) this.rate = Math.min(this.#fastest, this.rate + 0.5)
  }

  #follow(work: Promise<void>): void {
    const guarded = this.#guard(work).finally(() => this.#underWay.delete(guarded))
    this.#underWay.add(guarded)
  }

  /** While the service shuts down, requests are refused; that is no surprise. */
  async #guard(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      if (this.#stop.signal.aborted && error instanceof TypeError) return
      this.surprises.push(`${error}${error instanceof Error && error.cause !== undefined ? `: ${error.cause}` : ''}`)
    }
  }

  async #fetch(path: string, init?: RequestInit): Promise<Response> {
    this.requests++
    return await fetch(this.#url + path, init)
  }

  async #upload({ kind, filter, picture, expect }: Upload): Promise<void> {
    const form = new FormData()
    form.set('kind', kind)
    if (filter !== undefined) form.set('filter', filter)
    if (picture !== undefined) {
      form.set('image', new Blob([Uint8Array.from(picture.data)], { type: picture.type }), picture.name)
    }
    const response = await this.#fetch('/images', { method: 'POST', body: form })
    const body = (await response.json()) as { id?: string; error?: { code: string } }
    if (response.status === 202 && body.id !== undefined && isKind(kind)) {
      this.accepted++
      this.images.set(body.id, { kind, final: undefined })
      this.#pending.add(body.id)
    } else if (response.status === 503 && isKind(kind)) {
      add(this.turnedAway, kind)
      return
    } else {
      add(this.rejected, `${response.status} ${body.error?.code}`)
    }
    if (response.status !== expect.status || body.error?.code !== expect.code) {
      this.surprises.push(
        `an upload of ${picture?.name ?? 'nothing'} for ${kind} got ${response.status} ${body.error?.code ?? ''}, not ${expect.status} ${expect.code ?? ''}`,
      )
    }
  }

  async #ask(id: string): Promise<void> {
    const response = await this.#fetch(`/images/${id}`)
    const status = (await response.json()) as ImageStatus
    if (response.status !== 200) {
      this.#pending.delete(id)
      this.surprises.push(`the status of ${id} got ${response.status}`)
      return
    }
    if (status.status !== 'done' && status.status !== 'failed') return
    this.#pending.delete(id)
    if (this.#forget) this.images.delete(id)
    else this.images.get(id)!.final = status
    if (status.status === 'done') await this.#check(status)
  }

  async #check({ id, result }: ImageStatus): Promise<void> {
    const response = await this.#fetch(result!.url)
    const data = Buffer.from(await response.arrayBuffer())
    const image = response.ok ? await sharp(data).metadata() : undefined
    const good =
      image?.width === result!.width &&
      image.height === result!.height &&
      data.length === result!.bytes &&
      response.headers.get('content-type') === result!.type
    if (good) this.goodResults++
    else this.surprises.push(`the result of ${id} is not the image that its status describes (${response.status})`)
  }
}

function add<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
