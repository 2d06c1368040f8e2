/** What `Grouper` needs to know. */
export interface GrouperOptions<I, O> {
  /** Does many at once; gives the answers in the same order. */
  readonly run: (items: readonly I[]) => Promise<readonly O[]>
  /** How many bytes one takes in a statement, about. */
  readonly weigh?: (item: I) => number
  /** Whether one item can be the reason why all failed. */
  readonly isItemsFault: (error: unknown) => boolean
  /** How long one may wait before it is even tried, in ms. Default: as long as it takes. */
  readonly patience?: number
}

interface Waiting<I, O> {
  readonly item: I
  readonly since: number
  readonly resolve: (answer: O) => void
  readonly reject: (error: unknown) => void
}

/** Bounds of one statement. */
const MOST = 1_000
const HEAVIEST = 4_000_000

/**
 * Makes one statement of what comes while the one before is on its way, so that the statements get larger as there is
 * more to do, and nothing waits while there is little. Each item has its own fate: a group that fails because of one of
 * its items is split until that one is alone.
 */
export class Grouper<I, O> {
  readonly #options: GrouperOptions<I, O>
  #waiting: Waiting<I, O>[] = []
  #running = false

  constructor(options: GrouperOptions<I, O>) {
    this.#options = options
  }

  /** Rejects with what went wrong with it, or with the statement as a whole. */
  add(item: I): Promise<O> {
    return new Promise((resolve, reject) => {
      this.#dropLate()
      this.#waiting.push({ item, since: performance.now(), resolve, reject })
      if (this.#running) return
      this.#running = true
      // What else this turn of the event loop has belongs to the first statement.
      setImmediate(() => void this.#flush())
    })
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, this.#howMany())
      await this.#do(group)
    }
    this.#running = false
  }

  #howMany(): number {
    const { weigh } = this.#options
    const most = Math.min(this.#waiting.length, MOST)
    if (weigh === undefined) return most
    let weight = 0
    for (let count = 0; count < most; count++) {
      weight += weigh(this.#waiting[count]!.item)
      if (weight > HEAVIEST) return Math.max(1, count)
    }
    return most
  }

  async #do(group: readonly Waiting<I, O>[]): Promise<void> {
    try {
      const answers = await this.#options.run(group.map(({ item }) => item))
      for (const [index, { resolve }] of group.entries()) resolve(answers[index]!)
    } catch (error) {
      if (group.length === 1 || !this.#options.isItemsFault(error)) {
        for (const { reject } of group) reject(error)
        return
      }
      const half = group.length >> 1
      await this.#do(group.slice(0, half))
      await this.#do(group.slice(half))
    }
  }

  /** While a statement hangs, those that nobody waits for any more must not pile up. */
  #dropLate(): void {
    const { patience } = this.#options
    if (patience === undefined) return
    const tooOld = performance.now() - patience
    while (this.#waiting.length > 0 && this.#waiting[0]!.since < tooOld) {
      this.#waiting.shift()!.reject(new Error('The database did not answer, so it was not sent.'))
    }
  }
}
