import { encodeAvif } from './tasks/encode-avif.ts'
import { filter } from './tasks/filter.ts'
import type { ImageTask } from './tasks/image-task.ts'
import { thumbnail } from './tasks/thumbnail.ts'

/** The values of the field `kind`, each with the task that does it. */
export const KINDS = {
  thumbnail,
  filter,
  other: encodeAvif,
} as const satisfies Record<string, ImageTask>

export type Kind = keyof typeof KINDS

export function isKind(value: unknown): value is Kind {
  return typeof value === 'string' && Object.hasOwn(KINDS, value)
}
