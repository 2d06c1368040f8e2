import { AfterspanError } from './errors.ts'

/** The longest time a timer can be set for: 2^31 - 1 ms, about 24.8 days. */
export const MAX_MS = 2 ** 31 - 1

interface Range {
  readonly min: number
  readonly max: number
  /** Only whole numbers, and `Infinity` where it is the upper bound. */
  readonly whole?: boolean
}

/** The option as a number, or undefined when it is not given. Throws ERR_AFTERSPAN_OPTION when it is not one in range. */
export function checkNumber(option: string, value: unknown, { min, max, whole = false }: Range): number | undefined {
  if (value === undefined) return undefined
  const fits =
    typeof value === 'number' &&
    value >= min &&
    value <= max &&
    (!whole || Number.isInteger(value) || (value === Number.POSITIVE_INFINITY && max === Number.POSITIVE_INFINITY))
  if (fits) return value
  throw wrong(option, `${whole ? 'a whole number' : 'a number'} from ${min} to ${max}`, value)
}

export function checkOneOf<T extends string>(option: string, value: unknown, words: readonly T[]): T | undefined {
  if (value === undefined) return undefined
  if (words.includes(value as T)) return value as T
  throw wrong(option, words.map((word) => `'${word}'`).join(', '), value)
}

export function checkBoolean(option: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value
  throw wrong(option, 'true or false', value)
}

export function checkFunction<T>(option: string, value: T | undefined): T | undefined {
  if (value === undefined || typeof value === 'function') return value
  throw wrong(option, 'a function', value)
}

/** The options as an object of which only the known names are set: a misspelt option must not be ignored in silence. */
export function checkObject<T extends object>(
  option: string,
  value: T | undefined,
  known: readonly string[],
): Partial<T> {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(option, 'an object', value)
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) {
      throw new AfterspanError(
        'ERR_AFTERSPAN_OPTION',
        `Unknown option \`${option}.${quote(name)}\`. The options are ${known.join(', ')}.`,
      )
    }
  }
  return value
}

function wrong(option: string, expected: string, value: unknown): AfterspanError {
  return new AfterspanError(
    'ERR_AFTERSPAN_OPTION',
    `Expected \`${option}\` to be ${expected}, got \`${quote(value)}\` (${value === null ? 'null' : typeof value}).`,
  )
}

function quote(value: unknown): string {
  try {
    return String(value).slice(0, 100).toWellFormed()
  } catch {
    return '?'
  }
}
