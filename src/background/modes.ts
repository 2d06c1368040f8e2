import { AfterspanError } from '../model/errors.ts'
import type { TaskQueue } from '../scheduler/task-queue.ts'
import type { Deferral } from './deferral.ts'

/** The task whose mode is to be set. An engine's queue is also other processes', so it is the engine that has to pause it. */
export function checkMode(
  name: string,
  queue: TaskQueue<Deferral> | undefined,
  onEngine: boolean,
): TaskQueue<Deferral> {
  if (queue === undefined) {
    throw new AfterspanError('ERR_AFTERSPAN_UNKNOWN_TASK', `No task "${name}" is defined in this process.`)
  }
  if (onEngine) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_ENGINE',
      `Task "${name}" runs on an engine, whose queue other processes use too: pause it there (BullMQ: queue.pause()), or stop the processes that call tasks.work().`,
    )
  }
  return queue
}

/** Why a deferral is not taken; undefined where its task is not drained. */
export function drained(queue: TaskQueue<Deferral>): AfterspanError | undefined {
  if (queue.mode !== 'draining') return undefined
  return new AfterspanError(
    'ERR_AFTERSPAN_DRAINING',
    `Dropped: tasks.drain("${queue.name}") was called, and tasks.resume("${queue.name}") was not.`,
  )
}
