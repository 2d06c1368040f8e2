/** Something that a heap can hold: it knows its own place, so that it can be taken out of the middle in O(log n). */
export interface Ranked {
  /** The smallest comes first. */
  rank: number
  /** Breaks ties: the smaller, that is the earlier, comes first. */
  readonly seq: number
  /** Where it stands in its heap; -1 outside. An item is in one heap at a time. */
  place: number
}

/** A binary heap of items that know their places. */
export class Heap<T extends Ranked> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    item.place = this.#items.length
    this.#items.push(item)
    this.#up(item)
  }

  /** Takes an item out, wherever it stands; does nothing when it is not in this heap. */
  remove(item: T): void {
    const place = item.place
    if (place < 0) return
    item.place = -1
    const last = this.#items.pop()!
    if (last === item) return
    last.place = place
    this.#items[place] = last
    this.moved(last)
  }

  /** Puts an item whose rank has changed in its right place. */
  moved(item: T): void {
    this.#up(item)
    this.#down(item)
  }

  values(): IterableIterator<T> {
    return this.#items.values()
  }

  #up(item: T): void {
    let place = item.place
    while (place > 0) {
      const above = (place - 1) >> 1
      const parent = this.#items[above]!
      if (!before(item, parent)) break
      this.#put(parent, place)
      place = above
    }
    this.#put(item, place)
  }

  #down(item: T): void {
    const size = this.#items.length
    let place = item.place
    while (true) {
      let below = 2 * place + 1
      if (below >= size) break
      if (below + 1 < size && before(this.#items[below + 1]!, this.#items[below]!)) below++
      const child = this.#items[below]!
      if (!before(child, item)) break
      this.#put(child, place)
      place = below
    }
    this.#put(item, place)
  }

  #put(item: T, place: number): void {
    this.#items[place] = item
    item.place = place
  }
}

function before(a: Ranked, b: Ranked): boolean {
  return a.rank < b.rank || (a.rank === b.rank && a.seq < b.seq)
}
