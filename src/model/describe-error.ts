/** What telemetry and logs say about something that was thrown. */
export interface ErrorDescription {
  /** The class or `name` of the error; for other values what `typeof` says. */
  readonly type: string
  readonly message: string
  readonly stack: string | undefined
}

/** Longest text taken from an error, in UTF-16 code units: a message of 10 MB must not travel with each span. */
const MESSAGE_LIMIT = 2_048
const STACK_LIMIT = 8_192
const TYPE_LIMIT = 100

/**
 * Describes anything that can be thrown: null, a symbol, a Proxy, an object whose getters throw. It never throws, and
 * what it returns is short and well-formed.
 */
export function describeError(thrown: unknown): ErrorDescription {
  if ((typeof thrown !== 'object' && typeof thrown !== 'function') || thrown === null) {
    const type = thrown === null ? 'null' : typeof thrown
    return { type, message: clip(safely(() => String(thrown)) ?? '', MESSAGE_LIMIT), stack: undefined }
  }
  const name = text(thrown, 'name')
  const constructorName = safely(() => (thrown as object).constructor?.name)
  const specific = name !== undefined && name !== '' && name !== 'Error' ? name : constructorName
  const type = typeof specific === 'string' && specific !== '' ? specific : (name ?? 'Object')
  const message = text(thrown, 'message') ?? safely(() => String(thrown)) ?? ''
  const stack = text(thrown, 'stack')
  return {
    type: clip(type, TYPE_LIMIT),
    message: clip(message, MESSAGE_LIMIT),
    stack: stack === undefined ? undefined : clip(stack, STACK_LIMIT),
  }
}

function text(thrown: object, property: 'name' | 'message' | 'stack'): string | undefined {
  const value = safely(() => (thrown as Record<string, unknown>)[property])
  return typeof value === 'string' ? value : undefined
}

function safely<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

function clip(value: string, limit: number): string {
  return (value.length > limit ? `${value.slice(0, limit - 1)}…` : value).toWellFormed()
}
