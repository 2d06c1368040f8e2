import { gzipSync } from 'node:zlib'
import type { ProfileSource } from './profile-source.ts'
import { type Frame, framesOf, type Stack } from './stacks.ts'

/** A message of Protocol Buffers, as far as profile.proto needs it: numbers, strings, messages and packed numbers. */
class Message {
  readonly #parts: Uint8Array[] = []

  number(field: number, value: number): this {
    if (value === 0) return this
    this.#parts.push(varint(field * 8), varint(value))
    return this
  }

  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(varint(field * 8 + 2), varint(value.length), value)
    return this
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encoded())
  }

  packed(field: number, values: readonly number[]): this {
    return this.bytes(field, Buffer.concat(values.map(varint)))
  }

  encoded(): Uint8Array {
    return Buffer.concat(this.#parts)
  }
}

/** @param value A whole number from 0 to 2^53: ns since 1970 are more than that, and exact to a quarter of a µs. */
function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = BigInt(value)
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}

/** Gives each value a number, from `first` on. */
class Numbers<T> {
  readonly numbers = new Map<T, number>()
  readonly #first: number

  constructor(first: number) {
    this.#first = first
  }

  of(value: T): number {
    let number = this.numbers.get(value)
    if (number === undefined) {
      number = this.#first + this.numbers.size
      this.numbers.set(value, number)
    }
    return number
  }
}

/** A profile as profile.proto of github.com/google/pprof has it, gzipped: samples, time and CPU for each stack, by task. */
export function pprofOf({ samples, since, until, rate }: ProfileSource): Buffer {
  const strings = new Numbers<string>(0)
  // By the format's rule.
  strings.of('')
  const frames = new Numbers<Frame>(1)
  const type = (name: string, unit: string) => new Message().number(1, strings.of(name)).number(2, strings.of(unit))
  const profile = new Message()
  for (const [name, unit] of TYPES) profile.message(1, type(name, unit))
  for (const { stack, label, values } of bySample(samples)) {
    const sample = new Message()
      .packed(
        1,
        [...framesOf(stack)].map((frame) => frames.of(frame)),
      )
      .packed(2, values.map(Math.round))
      .message(3, new Message().number(1, strings.of('task')).number(2, strings.of(label)))
    profile.message(2, sample)
  }
  for (const [{ name, file, line }, id] of frames.numbers) {
    profile.message(4, new Message().number(1, id).message(4, new Message().number(1, id).number(2, line)))
    const named = new Message().number(1, id).number(2, strings.of(name)).number(3, strings.of(name))
    profile.message(5, named.number(4, strings.of(file)).number(5, line))
  }
  profile
    .number(9, Math.round((performance.timeOrigin + since) * 1000) * 1000)
    .number(10, Math.round((until - since) * 1e6))
    .message(11, type('time', 'nanoseconds'))
    .number(12, Math.round(1e9 / rate))
    .number(14, strings.of('time'))
  for (const text of strings.numbers.keys()) profile.bytes(6, Buffer.from(text))
  return gzipSync(profile.encoded())
}

const TYPES = [
  ['samples', 'count'],
  ['time', 'nanoseconds'],
  ['cpu', 'nanoseconds'],
] as const

function bySample(samples: ProfileSource['samples']) {
  const found = new Map<Stack, Map<string, { stack: Stack; label: string; values: [number, number, number] }>>()
  for (const { stack, attempt, wall, cpu } of samples) {
    let labels = found.get(stack)
    if (labels === undefined) {
      labels = new Map()
      found.set(stack, labels)
    }
    let sample = labels.get(attempt.label)
    if (sample === undefined) {
      sample = { stack, label: attempt.label, values: [0, 0, 0] }
      labels.set(attempt.label, sample)
    }
    sample.values[0] += 1
    sample.values[1] += wall * 1e6
    sample.values[2] += cpu * 1e6
  }
  return [...found.values()].flatMap((labels) => [...labels.values()])
}
