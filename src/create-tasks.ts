import type { TasksOptions } from './background/public.ts'
import { Tasks } from './background/tasks.ts'
import { profileAsked } from './profiler/start.ts'

/**
 * Makes what runs the background work of an app. Options are checked once, here.
 *
 * @throws AfterspanError ERR_AFTERSPAN_OPTION, with the option's name, the value and what is allowed.
 */
export function createTasks(options?: TasksOptions): Tasks {
  return new Tasks(options, { profiler: profileAsked })
}
