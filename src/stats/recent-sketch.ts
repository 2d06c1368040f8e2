import { type Packed, type Quantiles, SlotSketch } from './slot-sketch.ts'

/** The finest part of time that is kept apart, ms. */
export const SLOT = 15_000
/** How many of them are the last five minutes, with the one that has not ended. */
export const RECENT_SLOTS = 20

/** Quantiles of the last five minutes, to 15 seconds. */
export class RecentSketch {
  #live: SlotSketch | undefined
  /** Those that have ended, the oldest first. */
  readonly #closed: (Packed | undefined)[] = []
  /** Of those, as long as somebody looks. */
  #sum: SlotSketch | undefined

  record(seconds: number): void {
    this.#live ??= new SlotSketch()
    this.#live.record(seconds)
  }

  /** A slot has ended; what was recorded in it. */
  close(): Packed | undefined {
    const packed = this.#live?.pack()
    if (packed === undefined) this.#live = undefined
    else this.#live!.clear()
    this.#sum = undefined
    this.#closed.push(packed)
    if (this.#closed.length > RECENT_SLOTS) this.#closed.shift()
    return packed
  }

  quantiles(): Quantiles {
    if (this.#sum === undefined) {
      this.#sum = new SlotSketch()
      for (const packed of this.#closed) if (packed !== undefined) this.#sum.merge(packed)
    }
    scratch.clear()
    scratch.mergeLive(this.#sum)
    this.addLive(scratch)
    return scratch.quantiles()
  }

  /** Adds what was recorded in the slot that has not ended. */
  addLive(to: SlotSketch): void {
    if (this.#live !== undefined) to.mergeLive(this.#live)
  }
}

const scratch = new SlotSketch()

/** Tells how many slots have ended since it was asked last. */
export class SlotTimer {
  #endsAt: number

  /** @param now Clock ms. */
  constructor(now: number) {
    this.#endsAt = now + SLOT
  }

  passed(now: number): number {
    if (now < this.#endsAt) return 0
    const passed = Math.floor((now - this.#endsAt) / SLOT) + 1
    this.#endsAt += passed * SLOT
    return passed
  }

  /** ms of the slot that has not ended. */
  elapsed(now: number): number {
    return now - (this.#endsAt - SLOT)
  }
}
