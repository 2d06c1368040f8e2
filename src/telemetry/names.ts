import type { Limits } from '../model/options.ts'
import { OTHER } from '../model/words.ts'
import { type CapReason, selfHealth } from './self-health.ts'

/** Longest name in telemetry, in UTF-16 code units. */
const LENGTH = 200

/** Lets so many different names through; what comes after them is called `_other`, and counted. */
export class CappedNames {
  readonly #limit: number
  readonly #reason: CapReason
  readonly #labels = new Map<string, string>()

  constructor(limit: number, reason: CapReason) {
    this.#limit = limit
    this.#reason = reason
  }

  /** The name as it stands in telemetry: well-formed, without control characters, one of a bounded number. */
  label(name: string): string {
    const known = this.#labels.get(name)
    if (known !== undefined) return known
    if (this.#labels.size >= this.#limit) {
      selfHealth.capped(this.#reason)
      return OTHER
    }
    const label = clean(name)
    this.#labels.set(name, label)
    return label
  }
}

/** A string that every backend takes: lone surrogates and control characters replaced, the length bounded. */
export function clean(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const text = name.toWellFormed().replace(/[\u0000-\u001f\u007f]/g, '\ufffd')
  return (text.length > LENGTH ? `${text.slice(0, LENGTH - 1)}…` : text).toWellFormed()
}

/** The bounded names of one `createTasks`. */
export class Names {
  readonly tasks: CappedNames
  readonly routes: CappedNames
  readonly #errorTypes = new Map<string, CappedNames>()
  readonly #limits: Required<Limits>

  constructor(limits: Required<Limits>) {
    this.#limits = limits
    this.tasks = new CappedNames(limits.tasks, 'task_names')
    this.routes = new CappedNames(limits.routes, 'routes')
  }

  /** The type of an error of one task. */
  errorType(task: string, type: string): string {
    let types = this.#errorTypes.get(task)
    if (types === undefined) {
      types = new CappedNames(this.#limits.errorTypes, 'error_types')
      this.#errorTypes.set(task, types)
    }
    return types.label(type)
  }
}
