import type { Carrier, Message } from '../../model/engine.ts'

/** What is around a payload in the `data` of a job. A worker of pg-boss's own finds the payload in `data.payload`. */
export interface Envelope {
  readonly task: string | undefined
  readonly carrier: Carrier | undefined
  readonly payload: unknown
}

/** In `data.afterspan.version`: tells our jobs from those of others, whose data may have any shape. */
const VERSION = 1

/** What PostgreSQL's jsonb refuses and JSON has: the character 0, and halves of surrogate pairs. */
const REFUSED = /\\u(?:0000|d[89a-f])/

/** The JSON text of a job's `data`, as it is now: what the caller does with the payload afterwards changes nothing. */
export function pack(task: string, { payload, carrier }: Message): string {
  // JSON has no word for undefined.
  const text = JSON.stringify(payload) ?? 'null'
  const encoded = REFUSED.test(text)
  const head = JSON.stringify({ version: VERSION, task, carrier, ...(encoded && { encoded }) })
  // A text of JSON has its escapes escaped once more, so jsonb takes it. The head has texts of the network: there it is lost.
  const body = encoded ? JSON.stringify(text) : text
  const safe = REFUSED.test(head) ? head.replace(/\\u(?:0000|d[89a-f]..)/g, '\\ufffd') : head
  return `{"afterspan":${safe},"payload":${body}}`
}

/** Reads the `data` of any job: what has no envelope is a payload itself. */
export function unpack(data: unknown): Envelope {
  if (!isObject(data) || !isObject(data.afterspan) || data.afterspan.version !== VERSION) {
    return { task: undefined, carrier: undefined, payload: data }
  }
  const { task, carrier, encoded } = data.afterspan
  return {
    task: typeof task === 'string' ? task : undefined,
    carrier: isObject(carrier) ? (carrier as Carrier) : undefined,
    payload: encoded === true && typeof data.payload === 'string' ? decoded(data.payload) : data.payload,
  }
}

function decoded(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
