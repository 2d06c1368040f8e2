/** What the worker thread of the cells "worker thread" runs. */

import { compute } from './cpu.ts'
import { ask } from './io.ts'
import { check, type Job } from './job.ts'

export default async function run(job: Job): Promise<void> {
  if (job.work === 'io') await ask(job.url)
  else check(job, compute(job.iterations))
}
