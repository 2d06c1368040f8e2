import type { Carrier, Message } from '../../model/engine.ts'

/** What is around a payload in the `data` of a job. A worker of pg-boss's own finds the payload in `data.payload`. */
export interface Envelope {
  readonly task: string | undefined
  readonly carrier: Carrier | undefined
  readonly payload: unknown
  /** How many attempts it may have, and how many have failed; undefined for the jobs of others, where pg-boss's numbers hold. */
  readonly attempts: number | undefined
  readonly failures: number
}

/** In `data.afterspan.version`: tells our jobs from those of others, whose data may have any shape. */
const VERSION = 1

/** What PostgreSQL's jsonb refuses and JSON has: the character 0, and halves of surrogate pairs. */
const REFUSED = /\\u(?:0000|d[89a-f])/

/** The JSON text of a job's `data`, as it is now: what the caller does with the payload afterwards changes nothing. */
export function pack(task: string, attempts: number, { payload, carrier }: Message): string {
  // JSON has no word for undefined.
  const text = JSON.stringify(payload) ?? 'null'
  const encoded = REFUSED.test(text)
  const head = JSON.stringify({ version: VERSION, task, attempts, carrier, ...(encoded && { encoded }) })
  // As a text in JSON it has its escapes escaped once more, so jsonb takes it. In the head, which has only texts of the
  // network, they are lost.
  const body = encoded ? JSON.stringify(text) : text
  const safe = REFUSED.test(head) ? head.replace(/\\u(?:0000|d[89a-f]..)/g, '\\ufffd') : head
  return `{"afterspan":${safe},"payload":${body}}`
}

/** Reads the `data` of any job: what has no envelope is a payload itself. */
export function unpack(data: unknown): Envelope {
  if (!isObject(data) || !isObject(data.afterspan) || data.afterspan.version !== VERSION) {
    return { task: undefined, carrier: undefined, payload: data, attempts: undefined, failures: 0 }
  }
  const { task, carrier, encoded, attempts, failures } = data.afterspan
  return {
    task: typeof task === 'string' ? task : undefined,
    carrier: isObject(carrier) ? (carrier as Carrier) : undefined,
    payload: encoded === true && typeof data.payload === 'string' ? decoded(data.payload) : data.payload,
    attempts: typeof attempts === 'number' ? attempts : undefined,
    failures: typeof failures === 'number' ? failures : 0,
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
