import { boundedText } from '../model/bounded-text.ts'

const LIMIT = 2_000
const DEPTH = 8

/**
 * A payload as JSON that people read, cut at 2,000 characters. It may be anything and of any size: no more of it is read than is
 * shown, and none of its own code runs, neither getters nor `toJSON`.
 */
export function previewOf(payload: unknown): string {
  const parts: string[] = []
  let length = 0
  const put = (text: string): boolean => {
    parts.push(text)
    length += text.length
    return length < LIMIT
  }
  try {
    write(payload, put, [])
  } catch {
    put('…')
  }
  return boundedText(parts.join(''), LIMIT)
}

/** @returns False when there is no room left. */
function write(value: unknown, put: (text: string) => boolean, above: readonly object[]): boolean {
  if (typeof value === 'string') return put(JSON.stringify(value.slice(0, LIMIT)))
  if (typeof value === 'bigint') return put(`${boundedText(String(BigInt.asIntN(64, value)), 30)}n`)
  if (typeof value === 'function') return put('"[function]"')
  if (typeof value === 'symbol') return put('"[symbol]"')
  if (typeof value !== 'object' || value === null) return put(String(value))
  if (above.includes(value)) return put('"[circular]"')
  if (above.length >= DEPTH) return put('"…"')
  if (value instanceof Date)
    return put(JSON.stringify(Number.isNaN(value.getTime()) ? 'Invalid Date' : Date.prototype.toISOString.call(value)))
  if (ArrayBuffer.isView(value)) return put(`"[${value.byteLength} bytes]"`)
  const within = [...above, value]
  return Array.isArray(value) ? writeList(value, put, within) : writeObject(value, put, within)
}

function writeList(list: readonly unknown[], put: (text: string) => boolean, above: readonly object[]): boolean {
  let room = put('[')
  for (let index = 0; index < list.length && room; index++) {
    room = (index === 0 || put(',')) && writeProperty(list, String(index), put, above)
  }
  return room && put(']')
}

function writeObject(value: object, put: (text: string) => boolean, above: readonly object[]): boolean {
  let room = put('{')
  let first = true
  for (const key in value) {
    if (!Object.hasOwn(value, key)) continue
    room = (first || put(',')) && put(`${JSON.stringify(key.slice(0, 200))}:`) && writeProperty(value, key, put, above)
    if (!room) return false
    first = false
  }
  return room && put('}')
}

function writeProperty(of: object, key: string, put: (text: string) => boolean, above: readonly object[]): boolean {
  const property = Object.getOwnPropertyDescriptor(of, key)
  if (property?.get !== undefined) return put('"[getter]"')
  return write(property?.value, put, above)
}
