import { AfterspanError } from '../model/errors.ts'
import type { Schema } from '../model/options.ts'

/**
 * Checks a payload at `defer`, where the mistake is.
 *
 * @throws AfterspanError ERR_AFTERSPAN_PAYLOAD where the schema does not take it, or JSON cannot carry it.
 * @returns What a schema that answers later has to say; undefined where it has answered.
 */
export function checkPayload(
  task: string,
  schema: Schema<never> | undefined,
  payload: unknown,
): Promise<void> | undefined {
  try {
    JSON.stringify(payload)
  } catch (cause) {
    throw wrong(task, `JSON cannot carry it: ${messageOf(cause)}`, cause)
  }
  const checked = check(task, schema, payload)
  return checked instanceof Promise ? checked.then(() => {}) : undefined
}

/** The payload as the schema gives it, where it is run; a promise where the schema answers later. Throws as `checkPayload`. */
export function readPayload(task: string, schema: Schema<never> | undefined, payload: unknown): unknown {
  return check(task, schema, payload)
}

function check(task: string, schema: Schema<never> | undefined, payload: unknown): unknown {
  if (schema === undefined) return payload
  if (typeof schema === 'function') {
    try {
      return (schema as (payload: unknown) => unknown)(payload)
    } catch (cause) {
      throw wrong(task, messageOf(cause), cause)
    }
  }
  const result = schema['~standard'].validate(payload)
  return result instanceof Promise ? result.then((later) => valid(task, later)) : valid(task, result)
}

type Result = { readonly value?: unknown; readonly issues?: readonly { readonly message: string }[] | undefined }

function valid(task: string, { value, issues }: Result): unknown {
  if (issues === undefined) return value
  throw wrong(task, issues.map(({ message }) => message).join('; '))
}

function wrong(task: string, why: string, cause?: unknown): AfterspanError {
  return new AfterspanError(
    'ERR_AFTERSPAN_PAYLOAD',
    `The payload of task "${task}" is not right: ${why}`,
    cause === undefined ? undefined : { cause },
  )
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : 'its schema threw something that is no Error'
}
