import { AfterspanError } from '../model/errors.ts'
import type { Problem } from './protocol.ts'
import type { Source } from './source.ts'

/** What became of an action. */
export type Done = undefined | (Problem & { readonly status: 404 | 409 })

const MODES = ['pause', 'resume', 'drain'] as const

/** The action that a path asks for; undefined where it asks for none. */
export function actionOf(path: readonly string[]): ((source: Source) => Done) | undefined {
  const [kind, name, verb] = path
  if (path.length !== 3 || name === undefined) return undefined
  const mode = MODES.find((mode) => mode === verb)
  if (kind === 'tasks' && mode !== undefined) return (source) => setMode(source, name, mode)
  if (kind === 'waiting' && verb === 'cancel') return (source) => cancel(source, name)
  if (kind === 'failed' && verb === 'retry') return (source) => retry(source, name)
  return undefined
}

function setMode({ tasks, inspection }: Source, label: string, mode: (typeof MODES)[number]): Done {
  try {
    tasks[mode](inspection.nameOf(label) ?? label)
    return undefined
  } catch (error) {
    if (!(error instanceof AfterspanError)) throw error
    return problem(error.code === 'ERR_AFTERSPAN_UNKNOWN_TASK' ? 404 : 409, error.code, error.message)
  }
}

function cancel({ inspection }: Source, id: string): Done {
  if (inspection.cancelWaiting(id, 'cancelled on the dashboard')) return undefined
  return problem(404, 'ERR_AFTERSPAN_DASHBOARD_GONE', 'It does not wait any more: it runs, or has ended.')
}

function retry({ inspection }: Source, id: string): Done {
  const handle = inspection.retry(id)
  if (handle === undefined) {
    return problem(
      404,
      'ERR_AFTERSPAN_DASHBOARD_GONE',
      'Its payload is not kept any more, or never was: it was retried already, is too old or too large, or is no plain data.',
    )
  }
  if (handle.state !== 'dropped') return undefined
  const { error } = handle
  const why = error instanceof AfterspanError ? error : undefined
  return problem(409, why?.code ?? 'ERR_AFTERSPAN_DASHBOARD_GONE', why?.message ?? 'It was dropped.')
}

function problem(status: 404 | 409, code: string, message: string): Done {
  return { status, code, message }
}
