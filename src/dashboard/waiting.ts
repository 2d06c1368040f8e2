import { TraceFlags } from '@opentelemetry/api'
import type { Deferral } from '../background/deferral.ts'
import { clean } from '../telemetry/names.ts'
import { previewOf } from './preview.ts'
import type { Page, WaitingTask } from './protocol.ts'
import { epochOf, type Source } from './source.ts'

const PAGE = 200

/** A page of *Queue*; undefined where there is no such task. */
export function waitingOf(source: Source, name: string, after: string | undefined): Page<WaitingTask> | undefined {
  const { inspection, tasks } = source
  const page = inspection.waiting(name, after, PAGE)
  if (page === undefined) return undefined
  const figures = tasks.snapshot().tasks.find((task) => task.name === name)
  return {
    items: page.jobs.map((job) => waitingTask(source, name, job)),
    next: page.next ?? null,
    total: figures?.waiting ?? null,
  }
}

function waitingTask({ inspection, settings }: Source, task: string, job: Deferral): WaitingTask {
  const { id, state, priority, deferredAt, attempt, origin, parent } = job
  const timed = state === 'delayed' || state === 'retrying'
  const sampled = parent !== undefined && (parent.traceFlags & TraceFlags.SAMPLED) !== 0
  const route = origin?.route
  return {
    id,
    task,
    state: state as WaitingTask['state'],
    priority,
    deferredAt: epochOf(inspection, deferredAt),
    due: timed ? epochOf(inspection, job.rank) : null,
    // The one that it waits for.
    attempt: attempt + 1,
    route: route === undefined ? null : clean(route),
    traceId: sampled ? parent.traceId : null,
    ...(settings.payloads && job.payload !== undefined && { payload: previewOf(job.payload) }),
  }
}
