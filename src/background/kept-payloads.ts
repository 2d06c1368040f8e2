/** How many failed tasks can be deferred again at most, over all tasks. */
const MOST = 1_000
/** The largest payload that is kept, and all of them together, bytes as far as they can be told. */
const LARGEST = 65_536
const ALL = 2 * 2 ** 20
/** A payload of more values than this is not measured to its end. */
const VALUES = 2_000

/** The payloads of tasks that have failed, so that they can be tried again: the latest ones, in bounded memory. */
export class KeptPayloads<J extends { readonly id: string; readonly payload: unknown }> {
  readonly #jobs = new Map<string, { readonly work: J; readonly bytes: number }>()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  has(id: string): boolean {
    return this.#jobs.has(id)
  }

  /** Keeps it if its payload is plain data of a size that can be told. */
  add(work: J): void {
    const bytes = sizeOf(work.payload)
    if (bytes === undefined) return
    this.#jobs.set(work.id, { work, bytes })
    this.#bytes += bytes
    for (const id of this.#jobs.keys()) {
      if (this.#bytes <= ALL && this.#jobs.size <= MOST) return
      this.take(id)
    }
  }

  /** It is not kept any more. */
  take(id: string): J | undefined {
    const kept = this.#jobs.get(id)
    if (kept === undefined) return undefined
    this.#jobs.delete(id)
    this.#bytes -= kept.bytes
    return kept.work
  }
}

/**
 * Roughly how many bytes a payload keeps in memory; undefined where it is more than `LARGEST`, or cannot be told: an object of a
 * class may hold the whole app. No code of the payload's own runs: a getter is not plain data.
 */
export function sizeOf(payload: unknown): number | undefined {
  try {
    return measured(payload)
  } catch {
    // A proxy.
    return undefined
  }
}

function measured(payload: unknown): number | undefined {
  const seen = new Set<object>()
  const queue: unknown[] = [payload]
  let bytes = 0
  let values = 0
  while (queue.length > 0) {
    if (++values > VALUES || bytes > LARGEST) return undefined
    const value = queue.pop()
    bytes += 16
    if (typeof value === 'string') bytes += 2 * value.length
    else if (typeof value === 'bigint') bytes += 64
    else if (typeof value === 'function' || typeof value === 'symbol') return undefined
    else if (typeof value === 'object' && value !== null && !seen.has(value)) {
      seen.add(value)
      if (ArrayBuffer.isView(value)) bytes += value.buffer.byteLength
      else if (value instanceof ArrayBuffer) bytes += value.byteLength
      else if (!(value instanceof Date)) {
        const prototype = Object.getPrototypeOf(value)
        if (prototype !== Object.prototype && prototype !== null && prototype !== Array.prototype) return undefined
        const keys = Object.keys(value)
        if (keys.length > VALUES) return undefined
        for (const key of keys) {
          const property = Object.getOwnPropertyDescriptor(value, key)!
          if (property.get !== undefined) return undefined
          bytes += 8 + key.length
          queue.push(property.value)
        }
      }
    }
  }
  return bytes > LARGEST ? undefined : bytes
}
