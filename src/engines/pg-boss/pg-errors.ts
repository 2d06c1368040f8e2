import { AfterspanError } from '../../model/errors.ts'

/** Only an index of its own could keep two jobs of one key apart, and pg-boss makes it for one policy alone. */
export class PartitionedQueue extends AfterspanError {
  constructor(name: string) {
    super(
      'ERR_AFTERSPAN_ENGINE',
      `The queue "${name}" has a table of its own (\`partition\`), where keys need pg-boss's policy 'exclusive'. Give the task another queue by the option \`queueName\`, or no key.`,
    )
  }
}

/** foreign_key_violation: of a job to its queue. */
export function isQueueMissing(error: unknown): boolean {
  return codeOf(error) === '23503'
}

/** data_exception, integrity_constraint_violation, program_limit_exceeded; a group that is too long for a string. */
export function isItemsFault(error: unknown): boolean {
  return /^(22|23|54)...$/.test(codeOf(error)) || error instanceof PartitionedQueue || error instanceof RangeError
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? '')
}
