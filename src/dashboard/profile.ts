import type { Place, ProfileFrame } from '../model/profiler.ts'
import { clean } from '../telemetry/names.ts'
import type { Frame, ProfileDetail } from './protocol.ts'
import type { Source } from './source.ts'

/** What *Profile* shows; undefined where nothing is sampled, or that attempt's profile is not kept. */
export function profileOf({ inspection }: Source, task: string, id: string | undefined): ProfileDetail | undefined {
  if (inspection.history(task) === undefined) return undefined
  const view = inspection.profiler?.view(task, id)
  if (view === undefined) return undefined
  const { seconds, samples, busy, cpu, top, root } = view
  return {
    task,
    seconds,
    samples,
    busy,
    cpu,
    top: top.map((row) => ({ ...placed(row), self: row.self, total: row.total })),
    root: framed(root),
  }
}

function framed(frame: ProfileFrame): Frame {
  return { ...placed(frame), value: frame.value, children: frame.children.map(framed) }
}

function placed({ name, file, line }: Place) {
  return { name: clean(name), file: file === undefined ? null : clean(file), line: line ?? null }
}
