/** What one attempt leaves in the job's log for the next one, and for whoever looks at the job in a dashboard of BullMQ's. */
export interface JobRecord {
  readonly attempt: number
  readonly what: 'failed' | 'given back'
  /** Bounded text. */
  readonly error: string
  readonly traceparent: string | undefined
  /** When it may start again, ms since the epoch. */
  readonly due: number
  /** How often BullMQ had found it without a sign of life by then. */
  readonly stalled: number
}

const LINE = /^afterspan: attempt (\d+) (failed|given back); due (\d+); stalled (\d+); trace (\S+)(?:; ([\s\S]*))?$/

export function recordLine({ attempt, what, error, traceparent, due, stalled }: JobRecord): string {
  const why = error === '' ? '' : `; ${error}`
  return `afterspan: attempt ${attempt} ${what}; due ${Math.round(due)}; stalled ${stalled}; trace ${traceparent ?? '-'}${why}`
}

/** The latest record among lines of a job's log, which may have others of the app's own. */
export function latestRecord(lines: readonly string[]): JobRecord | undefined {
  for (const line of [...lines].reverse()) {
    const [, attempt, what, due, stalled, traceparent, error] = LINE.exec(line) ?? []
    if (attempt === undefined) continue
    return {
      attempt: Number(attempt),
      what: what as JobRecord['what'],
      error: error ?? '',
      traceparent: traceparent === '-' ? undefined : traceparent,
      due: Number(due),
      stalled: Number(stalled),
    }
  }
  return undefined
}
