import { describeError } from '../../model/describe-error.ts'
import type { Carrier, Failure, Taken } from '../../model/engine.ts'
import { AfterspanError } from '../../model/errors.ts'
import { PRIORITIES, type Priority } from '../../model/words.ts'
import { isObject, unpack } from './envelope.ts'
import { PRIORITY_NUMBERS } from './job-options.ts'

/** A job as pg-boss's `fetch` gives it, as far as it is read. */
export interface JobRow {
  readonly id: string
  readonly data: unknown
  readonly priority: number
  readonly retryCount: number
  readonly retryLimit: number
  readonly createdOn: unknown
  readonly startAfter: unknown
  readonly startedOn: unknown
  readonly heartbeatSeconds: number | null
  readonly deadLetter: string | null
  readonly output: unknown
}

/** How an attempt has ended, as it goes into the statement `settle`. */
export interface Settlement {
  readonly id: string
  readonly attempt: number
  readonly state: 'completed' | 'failed' | 'retry'
  /** It may be started once more than before, as it was given back and did not fail. */
  readonly released: boolean
  /** Until it may start again, ms; undefined: as before. */
  readonly delay: number | undefined
  /** How many attempts have failed, this one included; undefined: as before. */
  readonly failures: number | undefined
  readonly output: object | undefined
}

/** What is left in a job's `output` for people, and for the next attempt. */
interface FailureRecord {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly traceparent: string | undefined
  readonly afterspan: Grants | undefined
}

/**
 * pg-boss has one counter for all starts, and one limit. For each start that did not fail, the limit is raised by one.
 */
interface Grants {
  /** How many. */
  readonly extra: number
  /** How many of them because its process was lost. */
  readonly lost: number
}

export interface TakenJobOptions {
  readonly row: JobRow
  readonly maxRedeliveries: number
  readonly settle: (taken: TakenJob, settlement: Settlement) => Promise<boolean>
}

/** What pg-boss's supervision writes into `output` of jobs whose process was silent, or that took too long. */
const EXPIRED = ['job timed out', 'job heartbeat timeout']

/** A job of pg-boss's that this process runs. */
export class TakenJob implements Taken {
  readonly id: string
  readonly task: string | undefined
  readonly payload: unknown
  readonly carrier: Carrier | undefined
  readonly priority: Priority | undefined
  readonly attempt: number
  readonly failures: number
  readonly attempts: number
  readonly previous: string | undefined
  readonly redelivered: boolean
  readonly refusal: AfterspanError | undefined
  readonly acceptedAt: number
  readonly wait: number
  /** It was sent by Afterspan. */
  readonly ours: boolean
  /** Of the fence: pg-boss counts it up with each start. */
  readonly retryCount: number
  /** When the database last knew that it is alive here; of `performance.now()`. */
  seenAt = performance.now()
  /** It is being settled, so that it is no news when it is no longer ours. */
  settling = false
  readonly #options: TakenJobOptions
  readonly #grants: Grants
  readonly #listeners: (() => void)[] = []
  #isLost = false

  constructor(options: TakenJobOptions) {
    this.#options = options
    const { row, maxRedeliveries } = options
    const { task, carrier, payload, attempts, failures } = unpack(row.data)
    const past = pastOf(row.output)
    this.id = row.id
    this.task = task
    this.payload = payload
    this.carrier = carrier
    this.priority = priorityOf(row.priority, task !== undefined)
    this.retryCount = row.retryCount
    this.attempt = row.retryCount + 1
    // pg-boss counts starts, and knows of no attempt that was lost or given back.
    this.ours = attempts !== undefined
    this.failures = this.ours ? failures : Math.max(0, row.retryCount - past.extra)
    this.attempts = attempts ?? Math.max(1, row.retryLimit + 1 - past.extra)
    this.previous = past.traceparent
    this.redelivered = past.redelivered
    this.#grants = { extra: past.extra, lost: past.lost }
    this.refusal = past.lost > maxRedeliveries ? lostTooOften(row.id, past.lost) : undefined
    this.acceptedAt = msOf(row.createdOn)
    // Both by the clock of the database.
    this.wait = msOf(row.startedOn) - msOf(row.startAfter)
  }

  get deadLetter(): string | null {
    return this.#options.row.deadLetter
  }

  onLost(listener: () => void): void {
    this.#listeners.push(listener)
    if (this.#isLost) listener()
  }

  lose(): void {
    if (this.#isLost) return
    this.#isLost = true
    for (const listener of this.#listeners) listener()
  }

  complete(): Promise<boolean> {
    return this.#settle({ state: 'completed' })
  }

  fail(failure: Failure): Promise<boolean> {
    return this.#settle({ state: 'failed', output: this.#record(failure) })
  }

  retry(delay: number, failure: Failure): Promise<boolean> {
    const failures = this.ours ? this.failures + 1 : undefined
    return this.#settle({ state: 'retry', delay, failures, output: this.#record(failure) })
  }

  release(): Promise<boolean> {
    const { extra, lost } = this.#grants
    const { output } = this.#options.row
    const left = { ...(isObject(output) && output), afterspan: { extra: extra + 1, lost } }
    return this.#settle({ state: 'retry', released: true, output: left })
  }

  #settle(how: Pick<Settlement, 'state'> & Partial<Settlement>): Promise<boolean> {
    const { id, retryCount } = this
    const settlement = {
      id,
      attempt: retryCount,
      released: false,
      delay: undefined,
      failures: undefined,
      output: undefined,
      ...how,
    }
    return this.#options.settle(this, settlement)
  }

  #record({ error, traceparent }: Failure): FailureRecord {
    const { type, message, stack } = describeError(error)
    const afterspan = this.#grants.extra > 0 ? this.#grants : undefined
    return { name: storable(type), message: storable(message), stack: stack && storable(stack), traceparent, afterspan }
  }
}

interface Past extends Grants {
  readonly redelivered: boolean
  readonly traceparent: string | undefined
}

/** What the attempt before has left, which may have been somebody else's. */
function pastOf(output: unknown): Past {
  if (!isObject(output)) return { extra: 0, lost: 0, redelivered: false, traceparent: undefined }
  const { afterspan, traceparent, value } = output
  const known = isObject(afterspan) ? afterspan : {}
  const expired = isObject(value) && EXPIRED.includes(String(value.message))
  return {
    extra: typeof known.extra === 'number' ? known.extra : 0,
    lost: (typeof known.lost === 'number' ? known.lost : 0) + (expired ? 1 : 0),
    redelivered: known.redelivered === true || expired,
    traceparent: typeof traceparent === 'string' ? traceparent : undefined,
  }
}

/** Others have their own numbers, of which 0 says nothing. */
function priorityOf(number: number, ours: boolean): Priority | undefined {
  if (ours) return PRIORITIES.find((word) => PRIORITY_NUMBERS[word] === number)
  return number > 0 ? 'high' : number < 0 ? 'low' : undefined
}

/** An app may have told `pg` to read times in its own way. */
function msOf(time: unknown): number {
  const ms = time instanceof Date ? time.getTime() : new Date(String(time)).getTime()
  return Number.isNaN(ms) ? Date.now() : ms
}

/** PostgreSQL's texts cannot have the character 0. */
function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd')
}

function lostTooOften(id: string, times: number): AfterspanError {
  return new AfterspanError(
    'ERR_AFTERSPAN_REDELIVERED',
    `Job ${id} is not run again: the processes that ran it were lost ${times} times.`,
  )
}
