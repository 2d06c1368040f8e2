import type { Job, Processor, Queue, RedisClient, Worker, WorkerOptions } from 'bullmq'
import type { Watch } from '../../background/engine-tasks.ts'
import { Tasks } from '../../background/tasks.ts'
import { checkFunction } from '../../model/check.ts'
import { AfterspanError } from '../../model/errors.ts'
import { selfHealth } from '../../telemetry/self-health.ts'
import { depthOf } from './depth.ts'
import { loadBullMQ } from './load.ts'
import { type AttemptRecord, recordOf } from './metadata.ts'
import { isOurTelemetry } from './telemetry.ts'
import { BullMQJob, metadataOfMove } from './watched-job.ts'

/** Options of `createWorker`: those of BullMQ's `Worker`, which all mean what they ever did, and one of its own. */
export interface CreateWorkerOptions<D = unknown, R = unknown, N extends string = string> extends WorkerOptions {
  /**
   * The name of the task that a job is counted as, 1 to 200 characters. Default: `queue.name` of the job, and the queue's name for
   * jobs without a name (`__default__`) or with the queue's. `limits.tasks` of `createTasks` bounds how many are kept apart.
   */
  taskName?: (job: Job<D, R, N>) => string
}

/** How long a job waits for what its attempt before has left, ms. */
const RECORD_WITHIN = 500

/**
 * BullMQ's own `Worker`, for an app that has one already: in place of `new Worker(name, processor, options)`. Each attempt has a
 * span `process {queue}` and is counted as a task is: taken, attempts, wait, duration, effect, outcome, redelivered, lost. The
 * depth of the queue is shown under the queue's name. What becomes of a job BullMQ alone decides, as the job and the
 * options say: attempts, backoff, removal, rate limits, stalled jobs, and what `DelayedError` and its like mean.
 *
 * `tasks.close()` closes it: jobs that run have the grace, and what has not ended then goes back to the queue without
 * losing an attempt. Its own `close()` works as ever.
 *
 * @param processor A function, or the file of a sandboxed one.
 * @throws AfterspanError ERR_AFTERSPAN_TASKS, ERR_AFTERSPAN_HANDLER, ERR_AFTERSPAN_OPTION, ERR_AFTERSPAN_MISSING_PEER, and what
 *   BullMQ throws for its options.
 */
// biome-ignore lint/suspicious/noExplicitAny: as BullMQ's own Worker has it, so that nothing but the one line changes
export function createWorker<D = any, R = any, N extends string = string>(
  tasks: Tasks,
  name: string,
  processor: string | URL | Processor<D, R, N>,
  options: CreateWorkerOptions<D, R, N>,
): Worker<D, R, N> {
  check(tasks, name, processor)
  // Without any, BullMQ says what it needs.
  const { taskName, ...workerOptions } = options ?? ({} as CreateWorkerOptions<D, R, N>)
  const naming = checkFunction('taskName', taskName) as ((job: Job) => string) | undefined
  // Ours has spans for a worker that nobody looks at; this one has its own.
  const { telemetry, ...rest } = workerOptions
  const given: WorkerOptions = isOurTelemetry(telemetry) ? rest : workerOptions
  const taken = new Map<string, BullMQJob>()
  const jobs = new WeakMap<Job, BullMQJob>()
  let watch: Watch | undefined
  const bull = loadBullMQ()

  class WatchedWorker extends bull.Worker<D, R, N> {
    override async processJob(...args: Parameters<Worker<D, R, N>['processJob']>) {
      const [job, token] = args
      const opened = await open(job, token)
      try {
        return await super.processJob(...args)
      } finally {
        void opened?.abandon()
        if (taken.get(job.id!) === opened) taken.delete(job.id!)
      }
    }

    protected override callProcessJob(job: Job<D, R, N>, token: string, signal?: AbortSignal): Promise<R> {
      const processor = () => super.callProcessJob(job, token, signal)
      return jobs.get(job)?.process(processor) ?? processor()
    }

    /** BullMQ asks here what is to travel with a job that it moves. */
    override trace<T>(...args: Parameters<typeof bull.Worker.prototype.trace<T>>) {
      const [kind, operation, destination, callback, metadata] = args
      if (callback.length < 2) return super.trace(kind, operation, destination, callback, metadata)
      const amended: typeof callback = (span, theirs) => callback(span, metadataOfMove(theirs) ?? theirs)
      return super.trace(kind, operation, destination, amended, metadata)
    }
  }
  const made = new WatchedWorker(name, processor, given)
  const worker = made as unknown as Worker

  const open = async (job: Job, token: string): Promise<BullMQJob | undefined> => {
    try {
      const record = job.attemptsStarted > 1 ? await within(RECORD_WITHIN, recordIn(worker, job.id!)) : undefined
      const opened = new BullMQJob({
        ...{ job, token, record },
        stateOf: async ({ id }) => (await bull.Job.fromId(worker, id!))?.getState(),
        abort: (reason) => void worker.cancelJob(job.id!, reason),
        run: (watched, handler) => watch!.run(nameOf(name, job, naming), watched, handler),
      })
      // The same job, given to this worker again: the attempt before it has lost its lock.
      taken.get(job.id!)?.lose()
      taken.set(job.id!, opened)
      jobs.set(job, opened)
      return opened
    } catch {
      selfHealth.caught('engine')
      return undefined
    }
  }
  worker.on('lockRenewalFailed', (ids) => {
    for (const id of ids) taken.get(id)?.lose()
  })

  watch = Tasks.watch(tasks, {
    name,
    messaging: { system: 'bullmq', name },
    concurrency: () => (worker.closing === undefined ? worker.concurrency : 0),
    depth: depthBy(bull, worker, given),
    consumer: {
      // It takes no more from here on, and is closed when what runs has ended.
      stop: async () => void worker.close().catch(() => {}),
      close: async () => {
        if (taken.size === 0) await worker.close()
      },
    },
  })
  worker.once('closed', () => watch?.end())
  return made
}

function check(tasks: unknown, name: unknown, processor: unknown): void {
  if (!(tasks instanceof Tasks)) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_TASKS',
      `createWorker takes what createTasks() returned, got ${tasks === null ? 'null' : typeof tasks}.`,
    )
  }
  if (typeof processor === 'function' || typeof processor === 'string' || processor instanceof URL) return
  throw new AfterspanError(
    'ERR_AFTERSPAN_HANDLER',
    `createWorker of queue "${String(name)}" takes a processor, or the file of a sandboxed one, got ${processor === null ? 'null' : typeof processor}. To fetch jobs yourself, use BullMQ's Worker, and tell of each of them by tasks.track(name, promise).`,
  )
}

/** Over the worker's own connection. */
function depthBy(bull: typeof import('bullmq'), worker: Worker, options: WorkerOptions) {
  let queue: Queue | undefined
  return async () => {
    const client = await clientOf(worker)
    if (client !== undefined && client.status !== 'ready') throw new Error(`the connection is ${client.status}`)
    const { connection, prefix } = options
    const settings = { connection, ...(prefix !== undefined && { prefix }), skipMetasUpdate: true }
    queue ??= new bull.Queue(worker.name, settings, () => worker.getBackend().forQueue(worker.name)) as unknown as Queue
    return depthOf(queue)
  }
}

/** undefined where the jobs are not in Redis. */
async function clientOf(worker: Worker): Promise<(RedisClient & { readonly status?: string }) | undefined> {
  const backend = worker.getBackend() as { readonly client?: Promise<RedisClient> }
  return await backend.client
}

/** BullMQ keeps what travels with a moved job in a field of its own, and does not read it again. */
async function recordIn(worker: Worker, id: string): Promise<AttemptRecord | undefined> {
  const client = await clientOf(worker)
  return recordOf(await client?.hget(worker.toKey(id), 'tm'))
}

/** undefined where it takes longer, or fails. */
async function within<T>(limit: number, wanted: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), limit)
  })
  try {
    return await Promise.race([wanted.catch(() => undefined), late])
  } finally {
    clearTimeout(timer)
  }
}

function nameOf(queue: string, job: Job, naming: ((job: Job) => string) | undefined): string {
  const plain = job.name === '__default__' || job.name === queue ? queue : `${queue}.${job.name}`
  if (naming === undefined) return plain
  try {
    const name = naming(job)
    if (typeof name === 'string' && name !== '') return name
  } catch {
    // Counted below.
  }
  selfHealth.caught('engine')
  return plain
}
