import { createRequire } from 'node:module'
import { AfterspanError } from '../../model/errors.ts'

/** BullMQ as it is installed; loaded when it is first needed. */
export function loadBullMQ(): typeof import('bullmq') {
  try {
    return createRequire(import.meta.url)('bullmq') as typeof import('bullmq')
  } catch (cause) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_MISSING_PEER',
      'afterspan/bullmq needs a package that is not installed. Run: npm install bullmq ioredis',
      { cause },
    )
  }
}
