import fc from 'fast-check'
import { expect, test } from 'vitest'
import { resolveTask } from '../../src/model/options.ts'
import { PRIORITIES, type Priority } from '../../src/model/words.ts'
import { AGEING, ReadyQueue } from '../../src/scheduler/ready-queue.ts'
import { Job, TaskQueue } from '../../src/scheduler/task-queue.ts'

const PLAN = resolveTask(undefined, {
  priority: 'medium',
  concurrency: 2,
  timeout: undefined,
  retry: { attempts: 1, initial: 0, factor: 2, max: 0, retryIf: undefined, budget: undefined },
  relation: undefined,
  batch: undefined,
  engine: undefined,
  schema: undefined,
  profile: undefined,
})

function jobOf(task: TaskQueue<Job>, priority: Priority, seq: number, readyAt: number): Job {
  const job = new Job(`${seq}`, seq, task as unknown as TaskQueue<never>, { priority }, readyAt)
  job.readyAt = readyAt
  return job
}

/** The rule in its plainest form: a list, searched from the start. */
class PlainQueue {
  jobs: Job[] = []
  passed: Record<Priority, number> = { high: 0, medium: 0, low: 0 }

  take(now: number, admitted: readonly Priority[]): Job | undefined {
    const firsts = PRIORITIES.map((priority) => this.jobs.find((job) => job.priority === priority && !job.task.full))
    let chosen: Job | undefined
    for (const [index, first] of firsts.entries()) {
      const priority = PRIORITIES[index]!
      if (first === undefined) this.passed[priority] = 0
      // Held back it has no turn, and is not passed over either.
      else if (!admitted.includes(priority)) continue
      else if (chosen === undefined) chosen = first
      else if (now - first.readyAt >= AGEING.after) {
        if (this.passed[priority] >= AGEING.passes[priority as 'medium' | 'low']) chosen = first
        else this.passed[priority]++
      }
    }
    if (chosen === undefined) return undefined
    this.passed[chosen.priority] = 0
    this.jobs.splice(this.jobs.indexOf(chosen), 1)
    return chosen
  }
}

test('the queue takes what the plain rule would take, whatever is added, taken out, held back, started and finished', () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('add' as const),
        task: fc.nat(4),
        priority: fc.constantFrom(...PRIORITIES),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('take' as const),
        admitted: fc.oneof({ weight: 3, arbitrary: fc.constant([...PRIORITIES]) }, fc.subarray([...PRIORITIES])),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), which: fc.nat(1000) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('finish' as const), which: fc.nat(1000) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(700) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const tasks = Array.from({ length: 5 }, (_, index) => new TaskQueue<Job>(`t${index}`, PLAN, index))
      const queue = new ReadyQueue<Job>()
      const plain = new PlainQueue()
      const running: Job[] = []
      let now = 0
      let seq = 0
      for (const step of steps) {
        if (step.do === 'wait') now += step.ms
        if (step.do === 'add') {
          const job = jobOf(tasks[step.task]!, step.priority, seq++, now)
          queue.add(job)
          plain.jobs.push(job)
        }
        if (step.do === 'remove' && plain.jobs.length > 0) {
          const [job] = plain.jobs.splice(step.which % plain.jobs.length, 1)
          queue.remove(job!)
        }
        if (step.do === 'take') {
          const expected = plain.take(now, step.admitted)
          const job = queue.take(now, (priority) => step.admitted.includes(priority))
          expect(job?.id).toBe(expected?.id)
          if (job === undefined) continue
          job.task.running++
          running.push(job)
          if (job.task.full) queue.block(job.task)
        }
        if (step.do === 'finish' && running.length > 0) {
          const [job] = running.splice(step.which % running.length, 1)
          const wasFull = job!.task.full
          job!.task.running--
          if (wasFull) queue.unblock(job!.task)
        }
      }
    }),
    { numRuns: 500 },
  )
})

test('a low task starts under endless high load, after at most 16 starts once it has waited a second', () => {
  const task = new TaskQueue<Job>('t', { ...PLAN, concurrency: Number.POSITIVE_INFINITY }, 0)
  const queue = new ReadyQueue<Job>()
  queue.add(jobOf(task, 'low', 0, 0))
  for (let seq = 1; seq < 100; seq++) queue.add(jobOf(task, 'high', seq, 0))
  for (let start = 0; start < 20; start++) expect(queue.take(999)!.priority).toBe('high')
  const starts = Array.from({ length: 17 }, () => queue.take(1_000)!.priority)
  expect(starts).toEqual([...Array(16).fill('high'), 'low'])
})

test('what is held back is not passed over: when it is let go, its turn comes as late as if it had just aged', () => {
  const task = new TaskQueue<Job>('t', { ...PLAN, concurrency: Number.POSITIVE_INFINITY }, 0)
  const queue = new ReadyQueue<Job>()
  queue.add(jobOf(task, 'low', 0, 0))
  for (let seq = 1; seq < 100; seq++) queue.add(jobOf(task, 'high', seq, 0))
  for (let start = 0; start < 20; start++) queue.take(1_000, (priority) => priority !== 'low')
  const starts = Array.from({ length: 17 }, () => queue.take(1_000)!.priority)
  expect(starts).toEqual([...Array(16).fill('high'), 'low'])
})
