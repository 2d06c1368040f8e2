import type { Inspection } from '../background/inspection.ts'
import type { Tasks } from '../background/tasks.ts'
import type { DashboardSettings } from './options.ts'

/** What the answers are made from. */
export interface Source {
  readonly tasks: Tasks
  readonly inspection: Inspection
  readonly settings: DashboardSettings
}

/** ms since the epoch, of a moment of the tasks' clock. */
export function epochOf({ clock }: Inspection, moment: number): number {
  return Math.round(Date.now() - (clock.now() - moment))
}
