import type { Notice } from './notice.ts'

/** The names in a list with commas; empty entries are left out, and an empty list is the default. */
export function list(value: string | undefined, byDefault: string): string[] {
  const names = (value ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  return names.length > 0 ? [...new Set(names)] : [byDefault]
}

/** A number that is at least `least`; `undefined` where the variable is unset or is none, which is said. */
export function number(env: NodeJS.ProcessEnv, name: string, least: number, notice: Notice): number | undefined {
  const text = env[name]?.trim()
  if (text === undefined || text === '') return undefined
  const value = Number(text)
  if (Number.isFinite(value) && value >= least) return value
  notice(`${name}="${text}" is not a number of at least ${least}: the default is used.`)
  return undefined
}

export function isTrue(value: string | undefined): boolean {
  return value?.trim().toLowerCase() === 'true'
}

export function isFalse(value: string | undefined): boolean {
  return value?.trim().toLowerCase() === 'false'
}
