import { AsyncLocalStorage } from 'node:async_hooks'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import {
  DelayedError,
  FlowProducer,
  type Job,
  type Processor,
  Queue,
  UnrecoverableError,
  WaitingChildrenError,
  WaitingError,
  Worker,
  type WorkerOptions,
} from 'bullmq'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createWorker, telemetry } from '../../../src/engines/bullmq/index.ts'
import { createTasks, imbalance } from '../../../src/index.ts'
import { selfHealth } from '../../../src/telemetry/self-health.ts'
import type { TestTasks } from '../../../src/testing/index.ts'
import { inMemory, registerOpenTelemetry, Scene, unregisterOpenTelemetry, until } from '../fixtures/bullmq/scene.ts'
import { describeWithServers, type RealServer, startRedis } from '../harness/servers.ts'

/** Node before 22.18 runs TypeScript only if it is asked to. */
const RUNS_TYPESCRIPT = process.features.typescript ? [] : ['--experimental-strip-types']

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/bullmq/${name}`, import.meta.url))
type Make = (name: string, processor: Processor, options: WorkerOptions) => Worker

const storage = new AsyncLocalStorage<string>()

/** An app with every way in which a job can end, as its users and its operators see it. */
async function everyEnding(scene: Scene, make: Make, name: string): Promise<unknown> {
  const { connection } = scene
  const queue = scene.queue(name, { defaultJobOptions: { attempts: 3, backoff: { type: 'custom' } } })
  const starts = new Map<string, number[]>()
  const seen: unknown[] = []
  const worker = make(
    name,
    async (job, token, signal) => {
      starts.set(job.name, [...(starts.get(job.name) ?? []), Date.now()])
      const first = job.attemptsStarted === 1
      if (typeof token !== 'string' || signal?.aborted !== false) throw new Error('a processor gets token and signal')
      await job.log(`line of ${job.attemptsStarted}`)
      await job.updateProgress(50)
      switch (job.name) {
        case 'value':
          return { doubled: job.data.n * 2, properties: Object.keys(job).sort() }
        case 'flaky':
          if (job.attemptsMade < 2) throw new TypeError(`flaky ${job.attemptsMade}`)
          return 'at last'
        case 'hopeless':
          throw new Error('hopeless')
        case 'final':
          throw new UnrecoverableError('no use')
        case 'later':
          if (!first) return 'later'
          await job.moveToDelayed(Date.now() + 200, token)
          throw new DelayedError()
        case 'again':
          if (!first) return 'again'
          await job.moveToWait(token)
          throw new WaitingError()
        case 'parent':
          if (!first) return await job.getChildrenValues().then(Object.values)
          await queue.add('child', {}, { parent: { id: job.id!, queue: job.queueQualifiedName } })
          if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError()
          return 'no children'
        case 'limited':
          if (!first) return 'limited'
          await worker.rateLimit(200)
          throw Worker.RateLimitError()
        case 'circular': {
          const loop: Record<string, unknown> = {}
          loop.loop = loop
          return loop
        }
        case 'child':
          return 'of a child'
        case 'slow':
          await sleep(100)
          return storage.getStore()
      }
      return undefined
    },
    {
      connection,
      settings: { backoffStrategy: (attemptsMade, type) => (type === 'custom' ? attemptsMade * 100 : 0) },
      maxStartedAttempts: 5,
    },
  )
  worker.on('completed', (job, result, previous) => seen.push(['completed', job.name, result, previous]))
  worker.on('failed', (job, error, previous) => seen.push(['failed', job?.name, error.message, previous]))
  worker.on('error', (error) => seen.push(['error', error.message.replace(/job \S+/, 'job …')]))
  const names = [
    'slow',
    'value',
    'flaky',
    'hopeless',
    'final',
    'later',
    'again',
    'parent',
    'limited',
    'circular',
    'nothing',
  ]
  const added: Job[] = []
  for (const [index, job] of names.entries()) added.push(await queue.add(job, { n: index }, { jobId: `${job}-1` }))
  added.push(await queue.add('removed', {}, { jobId: 'removed-1', removeOnComplete: true }))
  added.push(await queue.add('soon', {}, { jobId: 'soon-1', delay: 300, priority: 3 }))
  await until('all to end', async () => {
    const states = await Promise.all(added.map((job) => job.getState()))
    return states.every((state) => state === 'completed' || state === 'failed' || state === 'unknown')
  })
  const ended = await Promise.all(
    added.map(async ({ id }) => {
      const job = await queue.getJob(id!)
      if (job === undefined) return { id, gone: true }
      const { opts, attemptsMade, attemptsStarted, stalledCounter, returnvalue, failedReason, progress } = job
      const { logs } = await queue.getJobLogs(id!)
      const traces = job.stacktrace?.map((stack) => stack?.split('\n')[0])
      const state = await job.getState()
      return {
        ...{ id, state, opts, attemptsMade, attemptsStarted, stalledCounter, returnvalue, failedReason, progress },
        ...{ logs, traces, plain: Object.keys(job.asJSON()) },
      }
    }),
  )
  for (const [job, delays] of [
    ['flaky', [100, 200]],
    ['hopeless', [100, 200]],
    ['later', [200]],
  ] as const) {
    const at = starts.get(job)!
    for (const [index, delay] of delays.entries()) expect(at[index + 1]! - at[index]!).toBeGreaterThanOrEqual(delay - 2)
  }
  const runs = [...starts].map(([job, at]) => [job, at.length])
  await worker.close()
  const sorted = (list: unknown[]) => list.map((entry) => JSON.stringify(entry) ?? '').sort()
  return { ended, runs: sorted(runs), seen: sorted(seen), counts: await queue.getJobCounts() }
}

describeWithServers(['redis'], 'An app that has BullMQ', () => {
  let redis: RealServer
  let scene: Scene
  let tasks: TestTasks

  beforeAll(async () => {
    redis = await startRedis()
    registerOpenTelemetry()
  })
  beforeEach(() => {
    scene = new Scene(redis.port)
    tasks = scene.tasks()
  })
  afterEach(async () => {
    await scene.close()
    expect(imbalance(tasks.ledger())).toBe(0)
    inMemory.reset()
  })
  afterAll(async () => {
    unregisterOpenTelemetry()
    await redis.dispose()
  })

  /** A worker of ours, closed at the end. */
  const watched = (name: string, processor: Processor | string | URL, options: Partial<WorkerOptions> = {}) =>
    scene.keep(createWorker(tasks, name, processor, { connection: scene.connection, ...options }))
  const finished = (count: number) =>
    until(`${count} to have finished`, () => {
      const { completed, failed } = tasks.ledger().outcomes
      return completed + failed === count
    })

  test('has the same results, retries, events and states after the one line has changed', async () => {
    // Defaults of tasks, which are none of BullMQ's jobs.
    tasks = scene.tasks({ timeout: 20, retry: { attempts: 9 }, relation: 'child' })
    const run = (word: string, make: Make) =>
      storage.run('of the app', () => everyEnding(scene, make, scene.fresh(word)))
    const before = await run('before', (...args) => new Worker(...args))
    const after = await run('after', (...args) => createWorker(tasks, ...args))
    const without = (value: unknown) => JSON.parse(JSON.stringify(value).replaceAll(/(before|after)-\d+-\d+/g, 'queue'))
    expect(without(after)).toEqual(without(before))
    expect(
      createWorker(tasks, scene.fresh('q'), async () => {}, { connection: scene.connection, autorun: false }),
    ).toBeInstanceOf(Worker)
    // later, again, parent and limited were returned once; flaky and hopeless twice, circular twice.
    expect(tasks.ledger()).toMatchObject({ taken: 24, returned: 10, zombies: 0 })
    expect(tasks.ledger().outcomes).toMatchObject({ completed: 11, failed: 3 })
    // What moves its job itself has not failed, and a result that JSON cannot carry is found out after the attempt.
    expect(tasks.snapshot().total.attempts).toEqual({ ok: 18, error: 6, timeout: 0, cancelled: 0 })
  })

  test('has spans and metrics of each attempt, linked both ways with the request', async () => {
    const name = scene.fresh('mail')
    const queue = scene.queue(name, { telemetry: telemetry() })
    const contexts: (string | undefined)[] = []
    watched(name, async (job) => {
      contexts.push(trace.getActiveSpan()?.spanContext().spanId)
      await sleep(30)
      if (job.attemptsMade < 2) throw new TypeError('mailbox full')
      return 'sent'
    })
    const tracer = inMemory.tracerProvider.getTracer('test')
    await tracer.startActiveSpan('POST /orders', async (span) => {
      await queue.add('welcome', { to: 'a' }, { attempts: 3, backoff: { type: 'fixed', delay: 150 } })
      span.end()
    })
    await finished(1)
    const request = inMemory.spans().find((span) => span.name === 'POST /orders')!
    const send = inMemory.spans().find((span) => span.name === `send ${name}`)!
    expect(send).toMatchObject({ kind: SpanKind.PRODUCER, parentSpanContext: { spanId: request.spanContext().spanId } })
    expect(send.attributes).toMatchObject({
      'messaging.system': 'bullmq',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': name,
      'messaging.message.id': '1',
      'bullmq.job.name': 'welcome',
    })
    const attempts = tasks.spans(`process ${name}`)
    expect(attempts.map(({ status }) => status.code)).toEqual([
      SpanStatusCode.ERROR,
      SpanStatusCode.ERROR,
      SpanStatusCode.UNSET,
    ])
    expect(new Set(attempts.map((span) => span.spanContext().traceId)).size).toBe(3)
    for (const [index, span] of attempts.entries()) {
      expect(span).toMatchObject({ kind: SpanKind.CONSUMER, parentSpanContext: undefined })
      expect(span.attributes).toMatchObject({
        'task.name': `${name}.welcome`,
        'task.attempt': index + 1,
        'messaging.message.id': '1',
      })
      const before = attempts[index - 1]?.spanContext().spanId
      const links = [send.spanContext().spanId, ...(before === undefined ? [] : [before])]
      expect(span.links.map(({ context }) => context.spanId)).toEqual(links)
      // Without the backoff.
      expect(span.attributes['task.wait']).toBeLessThan(0.1)
    }
    expect(attempts[0]!.attributes['error.type']).toBe('TypeError')
    expect(attempts[0]!.events[0]!.attributes).toMatchObject({
      'exception.type': 'TypeError',
      'exception.message': 'mailbox full',
    })
    expect(contexts).toEqual(attempts.map((span) => span.spanContext().spanId))
    const started = tasks.spans(`started ${name}.welcome`)
    expect(started.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual(
      attempts.map(() => send.spanContext().spanId),
    )
    expect(started.map(({ links }) => links[0]?.context.spanId)).toEqual(contexts)
    // Nothing of what BullMQ does to keep house.
    expect(new Set(inMemory.spans().map((span) => span.name))).toEqual(new Set(['POST /orders', `send ${name}`]))

    const of = { 'task.name': `${name}.welcome` }
    expect(await tasks.metric('afterspan.task.taken', of)).toBe(3)
    expect(await tasks.metric('afterspan.task.returned', of)).toBe(2)
    expect(
      await tasks.metric('afterspan.task.attempts', { ...of, 'task.result': 'error', 'error.type': 'TypeError' }),
    ).toBe(2)
    expect(await tasks.metric('afterspan.task.attempts', { ...of, 'task.result': 'ok' })).toBe(1)
    expect(await tasks.metric('afterspan.task.finished', { ...of, 'task.outcome': 'completed' })).toBe(1)
    expect(await tasks.metric('afterspan.task.redelivered', of)).toBe(0)
    expect((await tasks.histogram('afterspan.task.wait', of)).count).toBe(3)
    const duration = await tasks.histogram('afterspan.task.duration', of)
    expect(duration.count).toBe(3)
    expect(duration.sum).toBeGreaterThan(0.085)
    const effect = await tasks.histogram('afterspan.task.effect', of)
    expect(effect.count).toBe(1)
    expect(effect.sum).toBeGreaterThan(0.38)
    expect(tasks.snapshot().tasks.find((task) => task.name === of['task.name'])).toMatchObject({
      taken: 3,
      returned: 2,
      completed: 1,
    })
  })

  test('sees the depth, the age and the concurrency of its queue', async () => {
    const name = scene.fresh('deep')
    const queue = scene.queue(name)
    const ends: (() => void)[] = []
    const worker = watched(name, () => new Promise<void>((resolve) => ends.push(resolve)), { concurrency: 2 })
    await queue.addBulk([1, 2, 3, 4, 5].map((n) => ({ name: 'a', data: { n }, opts: { priority: n === 5 ? 7 : 0 } })))
    await queue.add('b', {}, { delay: 60_000 })
    await until('a reading', () => tasks.snapshot().engines[0]?.holds?.active === 2, 15_000)
    expect(tasks.snapshot().engines).toMatchObject([
      {
        task: name,
        system: 'bullmq',
        queue: name,
        concurrency: 2,
        holds: { waiting: 3, delayed: 1, active: 2, failed: 0 },
      },
    ])
    expect(tasks.snapshot().engines[0]!.holds!.oldest).toBeGreaterThan(0)
    expect(await tasks.metric('afterspan.engine.up', { 'task.name': name })).toBe(1)
    expect(await tasks.metric('afterspan.engine.jobs', { 'task.name': name, 'engine.state': 'waiting' })).toBe(3)
    expect(ends).toHaveLength(2)
    worker.concurrency = 3
    expect(await tasks.metric('afterspan.engine.concurrency', { 'task.name': name })).toBe(3)
    while (tasks.ledger().outcomes.completed < 5) {
      for (const end of ends.splice(0)) end()
      await sleep(20)
    }
    await worker.close()
    expect(tasks.snapshot().engines).toEqual([])
  })

  test('counts a job whose process was killed as redelivered, and one that stalls too often as failed', async () => {
    const [name, doomed] = [scene.fresh('stalled'), scene.fresh('doomed')]
    const take = async (queue: string) => {
      const child = fork(fixture('lost.ts'), [String(redis.port), queue], { execArgv: RUNS_TYPESCRIPT })
      await once(child, 'message')
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await scene.queue(name).add('a', {})
    await take(name)
    watched(name, async () => 'done', { stalledInterval: 300 })
    await finished(1)
    expect(tasks.spans(`process ${name}`)[0]!.attributes).toMatchObject({
      'task.redelivered': true,
      'task.attempt': 2,
      'task.wait': 0,
    })
    expect(await tasks.metric('afterspan.task.redelivered', { 'task.name': `${name}.a` })).toBe(1)

    await scene.queue(doomed).add('a', {})
    await take(doomed)
    let runs = 0
    watched(doomed, async () => runs++, { stalledInterval: 300, maxStalledCount: 0 })
    await finished(2)
    expect(runs).toBe(0)
    expect(tasks.ledger().outcomes).toMatchObject({ completed: 1, failed: 1 })
    const [span] = tasks.spans(`process ${doomed}`)
    expect(span!.status).toMatchObject({ code: SpanStatusCode.ERROR, message: expect.stringMatching(/stalled/) })
  })

  test('counts a lost lock once, and neither its outcome nor that of a job that has just ended', async () => {
    const name = scene.fresh('lock')
    const queue = scene.queue(name)
    const ends: (() => void)[] = []
    const options = { lockDuration: 1_000, lockRenewTime: 300, stalledInterval: 60_000 }
    const worker = watched(name, () => new Promise<void>((resolve) => ends.push(resolve)), options)
    worker.on('error', () => {})
    const job = await queue.add('a', {})
    await until('it to run', () => ends.length === 1)
    await (await queue.getBackend().client).del(`${queue.toKey(job.id!)}:lock`)
    await until('the loss', async () => (await tasks.metric('afterspan.task.lost')) === 1)
    ends[0]!()
    await until('the end', () => tasks.ledger().zombies === 0)
    expect(tasks.ledger()).toMatchObject({ taken: 1, returned: 1 })
    expect(tasks.spans(`process ${name}`)[0]!.attributes).toMatchObject({
      'task.lock_lost': true,
      'task.result': 'cancelled',
    })
    expect(await job.getState()).toBe('active')
    // As it comes where a renewal was on its way while the job ended.
    worker.on('completed', ({ id }) => worker.emit('lockRenewalFailed', [id!]))
    await queue.add('b', {})
    await until('the next', () => ends.length === 2)
    ends[1]!()
    await finished(1)
    expect(await tasks.metric('afterspan.task.lost')).toBe(1)
  })

  test('counts what Redis has taken note of, also where the answer did not come', async () => {
    const name = scene.fresh('answer')
    const worker = watched(name, async () => 'ok', { runRetryDelay: 50 })
    worker.on('error', () => {})
    const backend = worker.getBackend()
    const { moveToCompleted } = backend
    let moves = 0
    backend.moveToCompleted = async (...args) => {
      const moved = await moveToCompleted.apply(backend, args)
      if (++moves === 1) throw new Error('Connection is closed.')
      return moved
    }
    const job = await scene.queue(name).add('a', {})
    await finished(1)
    expect(await job.getState()).toBe('completed')
    expect(tasks.ledger().outcomes).toMatchObject({ completed: 1, failed: 0 })
    expect(await tasks.metric('afterspan.task.lost')).toBe(0)
  })

  test('keeps its concurrency, its limiter and the start of delayed jobs', async () => {
    const name = scene.fresh('limited')
    const queue = scene.queue(name)
    let running = 0
    let most = 0
    const starts: number[] = []
    watched(
      name,
      async () => {
        starts.push(Date.now())
        most = Math.max(most, ++running)
        await sleep(20)
        running--
      },
      { concurrency: 3, limiter: { max: 4, duration: 500 } },
    )
    const added = Date.now()
    await queue.addBulk(Array.from({ length: 8 }, (_, n) => ({ name: 'now', data: { n } })))
    await queue.add('later', {}, { delay: 1_500 })
    await finished(9)
    expect(most).toBe(3)
    expect(starts[4]! - starts[0]!).toBeGreaterThan(400)
    expect(starts[8]! - added).toBeGreaterThanOrEqual(1_490)
    // The wait of a delayed one is without its delay, and the limiter's is a wait.
    const waits = tasks.spans(`process ${name}`).map(({ attributes }) => attributes['task.wait'] as number)
    expect(waits[8]).toBeLessThan(0.5)
    expect(waits[7]).toBeGreaterThan(0.4)
  })

  test('runs sandboxed processors, and says what to do where there is none', async () => {
    const name = scene.fresh('sandbox')
    const queue = scene.queue(name)
    const worker = watched(name, fixture('sandboxed.cjs'))
    const good = await queue.add('a', { n: 21 })
    const bad = await queue.add('a', { fail: true })
    await finished(2)
    expect((await queue.getJob(good.id!))!.returnvalue).toBe(42)
    expect((await queue.getJob(bad.id!))!.failedReason).toBe('no such size')
    expect(tasks.ledger().outcomes).toMatchObject({ completed: 1, failed: 1 })
    await worker.close()
    expect(() => createWorker(tasks, name, null as never, { connection: scene.connection })).toThrow(
      expect.objectContaining({ code: 'ERR_AFTERSPAN_HANDLER', message: expect.stringMatching(/tasks\.track/) }),
    )
    expect(() => createWorker({} as never, name, async () => {}, { connection: scene.connection })).toThrow(
      expect.objectContaining({ code: 'ERR_AFTERSPAN_TASKS' }),
    )
    expect(() => createWorker(tasks, name, async () => {}, undefined as never)).toThrow(/requires a connection/)
  })

  test('names tasks by queue and job, or as it is told, within the limits', async () => {
    tasks = scene.tasks({ limits: { tasks: 6 } })
    const [one, two] = [scene.fresh('one'), scene.fresh('two')]
    watched(one, async () => {})
    watched(two, async () => {}, {
      taskName: (job: Job) => {
        if (job.name === 'bad') throw new Error('no name')
        return `my ${job.name}`
      },
    } as Partial<WorkerOptions>)
    const before = selfHealth.count('afterspan.telemetry.caught', 'engine')
    for (const job of ['a', '__default__', one, 'late']) await scene.queue(one).add(job, {})
    for (const job of ['a', 'bad']) await scene.queue(two).add(job, {})
    for (let n = 0; n < 5; n++) await scene.queue(two).add(`unbounded ${n}`, {})
    await finished(11)
    const completed = Object.fromEntries(tasks.snapshot().tasks.map((task) => [task.name, task.completed]))
    const all = { [one]: 2, [`${one}.a`]: 1 }
    expect(completed).toMatchObject(all)
    expect(Object.keys(completed).length).toBeLessThanOrEqual(7)
    expect(Object.values(completed).reduce((sum, count) => sum + count, 0)).toBe(11)
    expect(completed._other).toBeGreaterThan(0)
    expect(selfHealth.count('afterspan.telemetry.caught', 'engine') - before).toBe(1)
  })

  test('is not harmed by a tracing set-up, a listener or a context manager that throws', async () => {
    const broken = () => {
      throw new Error('broken')
    }
    const brokenSpan = new Proxy({}, { get: () => broken })
    const name = scene.fresh('broken')
    const providers = [
      { getTracer: broken },
      { getTracer: () => ({ startSpan: () => brokenSpan, startActiveSpan: broken }) },
    ]
    for (const tracerProvider of providers as never[]) {
      const queue = scene.queue(name, { telemetry: telemetry({ tracerProvider }) })
      const before = selfHealth.count('afterspan.telemetry.caught', 'span')
      const worker = scene.plainWorker(
        name,
        async (job) => {
          if (job.attemptsMade === 0) throw new Error('once')
          return 'ok'
        },
        { telemetry: telemetry({ tracerProvider }) },
      )
      const job = await queue.add('a', {}, { attempts: 2 })
      await until('it to end', () => job.isCompleted())
      expect((await queue.getJob(job.id!))!.returnvalue).toBe('ok')
      expect(selfHealth.count('afterspan.telemetry.caught', 'span')).toBeGreaterThan(before)
      await worker.close()
    }
    const quiet = { info() {}, warn() {}, error() {} }
    const hostile = createTasks({ tracerProvider: providers[1] as never, shutdown: false, logger: quiet })
    scene.keep({ close: () => hostile.close({ grace: 0 }) })
    const worker = createWorker(hostile, name, async () => 'ok', { connection: scene.connection })
    const unseen = await scene.queue(name).add('a', {})
    await until('it to end', () => unseen.isCompleted())
    await worker.close()
    context.disable()
    context.setGlobalContextManager({
      active: broken,
      with: broken,
      bind: broken,
      enable: broken,
      disable() {},
    } as never)
    const untold = scene.plainWorker(name, async () => 'ok', { telemetry: telemetry() })
    const added = await scene.queue(name, { telemetry: telemetry() }).add('a', {})
    await until('it to end', () => added.isCompleted())
    await untold.close()
    unregisterOpenTelemetry()
    registerOpenTelemetry()
    tasks.on('started', broken)
    tasks.on('ended', broken)
    watched(name, async () => 'ok')
    const job = await scene.queue(name).add('a', {})
    await finished(1)
    expect(await job.getState()).toBe('completed')
  })

  test('runs its jobs, whatever Afterspan itself does', async () => {
    const name = scene.fresh('unwatched')
    const before = selfHealth.count('afterspan.telemetry.caught', 'engine')
    // A clock that throws stands for whatever may go wrong on the way into the scheduler.
    const worker = watched(name, async () => 'ok')
    const now = performance.now
    worker.on('active', () => {
      performance.now = () => {
        performance.now = now
        throw new Error('no time')
      }
    })
    const job = await scene.queue(name).add('a', {})
    await until('it to end', () => job.isCompleted())
    performance.now = now
    expect(selfHealth.count('afterspan.telemetry.caught', 'engine')).toBeGreaterThan(before)
  })

  test('has spans for its commands, its bulks and its flows, and none for what BullMQ does by itself', async () => {
    const [name, child] = [scene.fresh('commands'), scene.fresh('children')]
    const queue = scene.queue(name, { telemetry: telemetry() })
    const flows = scene.keep(new FlowProducer({ connection: scene.connection, telemetry: telemetry() }))
    await queue.addBulk([
      { name: 'a', data: {} },
      { name: 'b', data: {} },
    ])
    await flows.add({
      name: 'top',
      queueName: name,
      opts: {},
      children: [{ name: 'leaf', queueName: child, opts: {} }],
    })
    await queue.pause()
    await queue.resume()
    await queue.drain()
    await queue.removeDeduplicationKey('none')
    await queue.trimEvents(100)
    await queue.close()
    const told = inMemory.spans().map(({ name, kind }) => [name, kind])
    expect(told).toEqual([
      [`send ${name}`, SpanKind.PRODUCER],
      [`create ${child}`, SpanKind.PRODUCER],
      [`create ${name}`, SpanKind.PRODUCER],
      [`send ${name}`, SpanKind.CLIENT],
      [`pause ${name}`, SpanKind.INTERNAL],
      [`resume ${name}`, SpanKind.INTERNAL],
      [`drain ${name}`, SpanKind.INTERNAL],
    ])
    expect(inMemory.spans()[0]!.attributes).toMatchObject({ 'messaging.batch.message_count': 2 })
    const wrong = scene.queue(scene.fresh('wrong'), { telemetry: telemetry() })
    await expect(wrong.add('a', {}, { jobId: '0' })).rejects.toThrow(/JobId cannot be/)
    expect(inMemory.spans().at(-1)).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'Error' },
    })
  })

  test('has attempts of a plain worker in traces of their own, with their errors, by its telemetry alone', async () => {
    const name = scene.fresh('plain')
    const queue = scene.queue(name, { telemetry: telemetry() })
    scene.plainWorker(
      name,
      async (job) => {
        inMemory.tracerProvider.getTracer('test').startSpan('inside').end()
        if (job.attemptsMade < 2) throw new Error('not yet')
      },
      { telemetry: telemetry() },
    )
    const job = await queue.add('a', { secret: 'payload' }, { attempts: 3, backoff: { type: 'fixed', delay: 10 } })
    await until('it to end', () => job.isCompleted())
    await until('its spans', () => inMemory.spans().filter((span) => span.name === `process ${name}`).length === 3)
    const [send] = inMemory.spans().filter((span) => span.name === `send ${name}`)
    const attempts = inMemory.spans().filter((span) => span.name === `process ${name}`)
    const codes = [SpanStatusCode.ERROR, SpanStatusCode.ERROR, SpanStatusCode.UNSET]
    expect(attempts.map(({ status }) => status.code)).toEqual(codes)
    for (const span of attempts) {
      expect(span).toMatchObject({ kind: SpanKind.CONSUMER, parentSpanContext: undefined })
      expect(span.links.map(({ context }) => context.spanId)).toEqual([send!.spanContext().spanId])
    }
    const inside = inMemory.spans().filter((span) => span.name === 'inside')
    expect(inside.map((span) => span.parentSpanContext?.spanId)).toEqual(
      attempts.map((span) => span.spanContext().spanId),
    )
    expect(inMemory.spans()).toHaveLength(7)
    expect(JSON.stringify(inMemory.spans().map(({ attributes, events }) => [attributes, events]))).not.toMatch(
      /payload/,
    )
  })

  test('has each run of a scheduler in a trace of its own, which no older one grows by', async () => {
    const name = scene.fresh('scheduled')
    const queue = scene.queue(name, { telemetry: telemetry() })
    watched(name, async () => {})
    await queue.upsertJobScheduler('tick', { every: 200 }, { name: 'tick' })
    await until('three runs', () => tasks.ledger().outcomes.completed >= 3)
    await queue.removeJobScheduler('tick')
    const runs = tasks.spans(`process ${name}`)
    expect(new Set(runs.map((span) => span.spanContext().traceId)).size).toBe(runs.length)
    expect(runs.flatMap(({ links }) => links)).toEqual([])
    expect(tasks.spans(`started ${name}.tick`)).toEqual([])
    expect((await tasks.histogram('afterspan.task.effect')).sum / runs.length).toBeLessThan(0.15)
  })

  test('is closed by tasks.close(): what runs has the grace, and then goes back whole', async () => {
    const name = scene.fresh('closing')
    const queue = scene.queue(name)
    const ends: (() => void)[] = []
    const aborted: unknown[] = []
    watched(
      name,
      async (job, _token, signal) => {
        if (job.name === 'ends') return new Promise<void>((resolve) => ends.push(resolve))
        await new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)))
      },
      { concurrency: 2 },
    ).on('failed', (...args) => aborted.push(args))
    const [quick, slow, next] = await queue.addBulk(['ends', 'hangs', 'waits'].map((job) => ({ name: job, data: {} })))
    await until('both to run', () => tasks.ledger().states.running === 2)
    const closed = tasks.close({ grace: 500 })
    await sleep(100)
    ends[0]!()
    const began = Date.now()
    const ledger = await closed
    expect(Date.now() - began).toBeLessThan(2_000)
    expect(ledger).toMatchObject({ taken: 2, returned: 1, zombies: 0 })
    expect(ledger.outcomes).toMatchObject({ completed: 1 })
    expect(await quick!.getState()).toBe('completed')
    expect(await next!.getState()).toBe('waiting')
    expect(await slow!.getState()).toBe('waiting')
    expect(await queue.getJob(slow!.id!)).toMatchObject({ attemptsMade: 0, stalledCounter: 0 })
    expect(aborted).toEqual([])
  })

  test('drains on SIGTERM', async () => {
    const name = scene.fresh('drains')
    const queue = new Queue(name, { connection: scene.connection })
    const job = await queue.add('a', {})
    const child = fork(fixture('drains.ts'), [String(redis.port), name], { execArgv: RUNS_TYPESCRIPT, silent: true })
    await once(child, 'message')
    child.kill('SIGTERM')
    const [, signal] = await once(child, 'exit')
    expect(signal).toBe('SIGTERM')
    expect((await queue.getJob(job.id!))!.returnvalue).toBe('drained')
    await queue.close()
  })
})
