import type { Job, Queue } from 'bullmq'
import type { Depth } from '../../model/engine.ts'

/** What a queue holds, whoever fills it: the oldest is the first of those without a priority or of those with one. */
export async function depthOf(queue: Queue): Promise<Depth> {
  const [counts, ...heads] = await Promise.all([
    queue.getJobCounts('wait', 'prioritized', 'delayed', 'active', 'failed'),
    queue.getJobs(['wait'], 0, 0, true),
    queue.getJobs(['prioritized'], 0, 0, true),
  ])
  const due = heads.flat().flatMap((job: Job | undefined) => (job ? [job.timestamp + (job.opts.delay ?? 0)] : []))
  const { wait = 0, prioritized = 0, delayed = 0, active = 0, failed = 0 } = counts
  const oldest = due.length === 0 ? 0 : Math.max(0, Date.now() - Math.min(...due)) / 1000
  return { waiting: wait + prioritized, delayed, active, failed, oldest }
}
