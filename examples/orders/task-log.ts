import type { Tasks } from 'afterspan'

/** Writes a line when an attempt starts, when it ends, and when a deferral has its outcome in this process. */
export function logTasks(tasks: Tasks, log: (line: string) => void): void {
  tasks.on('started', ({ task, id, attempt, wait }) => {
    log(`event=started task=${task} task_id=${id} attempt=${attempt} wait_ms=${wait.toFixed(0)}`)
  })
  tasks.on('ended', ({ task, id, attempt, result, duration, error }) => {
    const why = error instanceof Error ? ` error=${JSON.stringify(error.message)}` : ''
    log(
      `event=ended task=${task} task_id=${id} attempt=${attempt} result=${result} duration_ms=${duration.toFixed(0)}${why}`,
    )
  })
  tasks.on('finished', ({ task, id, outcome }) => log(`event=finished task=${task} task_id=${id} outcome=${outcome}`))
}
