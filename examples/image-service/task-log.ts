import type { Tasks } from 'afterspan'

interface Start {
  readonly wait: number
  readonly rss: number
  readonly heap: number
}

/**
 * Writes a line for each attempt: how long it waited and ran, how it ended, and memory. The memory figures are those of the
 * whole process, at the end of the attempt and against its start: what other tasks and requests took or gave back meanwhile
 * is in them, and pixels are outside the heap, so `rss` is the one to watch. Only at a concurrency of 1 is the difference
 * that of one task.
 */
export function logTasks(tasks: Tasks, imageOf: (taskId: string) => string, log: (line: string) => void): void {
  const starts = new Map<string, Start>()
  tasks.on('started', ({ id, wait }) => {
    const { rss, heapUsed } = process.memoryUsage()
    starts.set(id, { wait, rss, heap: heapUsed })
  })
  tasks.on('ended', ({ id, task, attempt, result, duration, error }) => {
    const start = starts.get(id)
    if (start === undefined) return
    starts.delete(id)
    const { rss, heapUsed } = process.memoryUsage()
    log(
      [
        `task=${task} image=${imageOf(id)} task_id=${id} attempt=${attempt} result=${result}`,
        `wait_ms=${start.wait.toFixed(1)} duration_ms=${duration.toFixed(1)}`,
        `rss_mb=${mega(rss)} rss_change_mb=${signed(rss - start.rss)}`,
        `heap_mb=${mega(heapUsed)} heap_change_mb=${signed(heapUsed - start.heap)}`,
        ...(error instanceof Error ? [`error=${JSON.stringify(error.message.trim())}`] : []),
      ].join(' '),
    )
  })
}

function mega(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}

function signed(bytes: number): string {
  return `${bytes < 0 ? '' : '+'}${mega(bytes)}`
}
