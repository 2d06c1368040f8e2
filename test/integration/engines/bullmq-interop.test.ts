import { propagation, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { type Job, type JobsOptions, Queue, Worker } from 'bullmq'
import { BullMQOtel } from 'bullmq-otel'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { bullmq, createWorker, telemetry } from '../../../src/engines/bullmq/index.ts'
import { imbalance } from '../../../src/index.ts'
import type { TestTasks } from '../../../src/testing/index.ts'
import {
  inMemory,
  registerOpenTelemetry,
  Scene,
  type Span,
  unregisterOpenTelemetry,
  until,
} from '../fixtures/bullmq/scene.ts'
import { describeWithServers, type RealServer, startRedis } from '../harness/servers.ts'

const idOf = (span: Span | undefined) => span?.spanContext().spanId
const traceOf = (span: Span | undefined) => span?.spanContext().traceId
const linksOf = (span: Span | undefined) => span?.links.map(({ context }) => context.spanId)

/** What other producers and other versions may have left in the place of the trace context. */
const HOSTILE: readonly (string | undefined)[] = [
  undefined,
  '',
  'not json',
  '{',
  'null',
  '17',
  '[]',
  '"text"',
  '{}',
  '{"traceparent":null}',
  '{"traceparent":{"a":1},"tracestate":[],"baggage":5}',
  '{"traceparent":["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],"baggage":{"x":1}}',
  '{"traceparent":"00-00000000000000000000000000000000-0000000000000000-01"}',
  '{"traceparent":"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra"}',
  `{"traceparent":"${'0'.repeat(100_000)}","baggage":"${'a=b,'.repeat(20_000)}"}`,
  '{"afterspan":null}',
  '{"afterspan":{"method":{},"route":7,"priority":"urgent"},"afterspanAttempt":"x"}',
  '{"__proto__":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}',
]

describeWithServers(['redis'], 'Beside the real bullmq-otel', () => {
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

  const engine = () => bullmq({ connection: scene.connection })
  const outcomes = (count: number) =>
    until(`${count} outcomes`, () => {
      const { completed, failed } = tasks.ledger().outcomes
      return completed + failed === count
    })
  const spansOf = (name: string) => inMemory.spans().filter((span) => span.name === name)
  /** Runs the jobs of a queue by a task of ours, or by a worker of the app's. */
  const consumers: Record<string, (name: string, run: (data: unknown) => unknown) => Promise<unknown>> = {
    'a task': async (name, run) => {
      tasks.define(name, (payload: unknown) => run(payload), { engine: engine(), retry: { attempts: 3, initial: 10 } })
      await tasks.work()
    },
    'a worker of ours': async (name, run) =>
      scene.keep(createWorker(tasks, name, async (job) => run(job.data), { connection: scene.connection })),
  }

  for (const [who, consume] of Object.entries(consumers)) {
    test(`${who} is linked to the PRODUCER span of bullmq-otel, in whose trace it leaves its start`, async () => {
      const name = scene.fresh('theirs')
      await consume(name, () => {})
      const queue = scene.queue(name, { telemetry: new BullMQOtel({ tracerName: 'app' }) })
      await queue.add(name, { n: 1 })
      await outcomes(1)
      const [add] = spansOf(`add ${name}.${name}`)
      const [attempt] = tasks.spans(`process ${name}`)
      const [started] = tasks.spans(`started ${name}`)
      expect(add).toMatchObject({ kind: SpanKind.PRODUCER })
      expect(linksOf(attempt)).toEqual([idOf(add)])
      expect(traceOf(attempt)).not.toBe(traceOf(add))
      expect(traceOf(started)).toBe(traceOf(add))
      expect(started!.parentSpanContext?.spanId).toBe(idOf(add))
      expect(linksOf(started)).toEqual([idOf(attempt)])
    })

    test(`${who} runs jobs of a producer that has no telemetry, or leaves its context out`, async () => {
      const name = scene.fresh('bare')
      const seen: unknown[] = []
      await consume(name, (data) => seen.push(data))
      await scene.queue(name).add(name, { bare: true })
      await outcomes(1)
      const otel = scene.queue(name, { telemetry: new BullMQOtel({ tracerName: 'app' }) })
      const omitted = { telemetry: { omitContext: true } }
      await otel.add(name, { omitted: 'one' }, omitted)
      await otel.addBulk([{ name, data: { omitted: 'two' }, opts: omitted }])
      await scene.queue(name, { telemetry: telemetry() }).add(name, { omitted: 'three' }, omitted)
      await outcomes(4)
      expect(seen).toEqual([{ bare: true }, { omitted: 'one' }, { omitted: 'two' }, { omitted: 'three' }])
      expect(tasks.spans(`process ${name}`).map(linksOf)).toEqual([[], [], [], []])
      expect(tasks.spans(`started ${name}`)).toEqual([])
    })

    test(`${who} runs a job whatever stands in the place of its context`, async () => {
      const name = scene.fresh('hostile')
      const seen: unknown[] = []
      await consume(name, (data) => seen.push(data))
      const queue = scene.queue(name)
      for (const [n, metadata] of HOSTILE.entries()) {
        await queue.add(name, { n }, { telemetry: { ...(metadata !== undefined && { metadata }) } })
      }
      await outcomes(HOSTILE.length)
      expect(seen).toHaveLength(HOSTILE.length)
      expect(tasks.ledger().outcomes).toMatchObject({ completed: HOSTILE.length, failed: 0 })
      expect(await tasks.metric('afterspan.task.redelivered', { 'task.name': name })).toBe(0)
    })
  }

  test('a plain worker with our telemetry runs a job whatever stands in the place of its context', async () => {
    const name = scene.fresh('hostile')
    const queue = scene.queue(name)
    for (const [n, metadata] of HOSTILE.entries()) {
      await queue.add('a', { n }, { telemetry: { ...(metadata !== undefined && { metadata }) } })
    }
    scene.plainWorker(name, async () => 'ok', { telemetry: telemetry() })
    await until('all to end', async () => (await queue.getJobCounts('completed')).completed === HOSTILE.length)
    expect(spansOf(`process ${name}`)).toHaveLength(HOSTILE.length)
  })

  test('a worker with bullmq-otel runs what we deferred, in the trace of our send span', async () => {
    const name = scene.fresh('ours')
    const task = tasks.define(name, () => {}, { engine: engine(), retry: { attempts: 3, initial: 10 } })
    const seen: unknown[] = []
    scene.plainWorker(
      name,
      async (job) => {
        seen.push([job.name, job.data])
        if (job.attemptsMade < 2) throw new Error('not yet')
        return 'done'
      },
      { telemetry: new BullMQOtel({ tracerName: 'app' }) },
    )
    const payload = { order: 7, lines: [{ sku: 'a' }], at: '2026-01-01' }
    const handle = task.defer(payload)
    await handle.accepted
    const queue = scene.queue(name)
    await until('it to end', async () => (await queue.getJob(handle.id))!.isCompleted())
    expect(seen).toEqual([
      [name, payload],
      [name, payload],
      [name, payload],
    ])
    expect(await queue.getJob(handle.id)).toMatchObject({ returnvalue: 'done', attemptsMade: 3 })
    await until('their spans', () => spansOf(`process ${name}`).length === 3)
    const [send] = tasks.spans(`send ${name}`)
    for (const span of spansOf(`process ${name}`)) {
      expect(span.parentSpanContext?.spanId).toBe(idOf(send))
      expect(traceOf(span)).toBe(traceOf(send))
    }
  })

  test('a worker with bullmq-otel is in the trace of the send span of our telemetry', async () => {
    const name = scene.fresh('sent')
    scene.plainWorker(name, async () => {}, { telemetry: new BullMQOtel({ tracerName: 'app' }) })
    const queue = scene.queue(name, { telemetry: telemetry() })
    await queue.add('a', {})
    await queue.addBulk([{ name: 'b', data: {} }])
    await until('their spans', () => spansOf(`process ${name}`).length === 2)
    const sends = spansOf(`send ${name}`)
    expect(spansOf(`process ${name}`).map((span) => span.parentSpanContext?.spanId)).toEqual(sends.map(idOf))
  })

  test('a job that is retried by our worker and by one with bullmq-otel in turn stays in the trace of its sender', async () => {
    const name = scene.fresh('mixed')
    const queue = scene.queue(name, { telemetry: telemetry() })
    const fails = async (job: Job) => {
      if (job.attemptsMade < 3) throw new Error(`no ${job.attemptsMade}`)
    }
    const options: JobsOptions = { attempts: 4, backoff: { type: 'fixed', delay: 200 } }
    const turns = [
      () => createWorker(tasks, name, fails, { connection: scene.connection }),
      () => new Worker(name, fails, { connection: scene.connection, telemetry: new BullMQOtel({ tracerName: 'app' }) }),
    ]
    const job = await queue.add('a', {}, options)
    for (let turn = 0; turn < 4; turn++) {
      const worker = turns[turn % 2]!()
      await until(`turn ${turn}`, async () => (await queue.getJob(job.id!))!.attemptsMade === turn + 1)
      await worker.close()
    }
    const [send] = spansOf(`send ${name}`)
    const [first, third] = tasks.spans(`process ${name}`)
    expect(linksOf(first)).toEqual([idOf(send)])
    expect(linksOf(third)).toEqual([idOf(send)])
    for (const span of spansOf(`process ${name}`)) expect(span.parentSpanContext?.spanId).toBe(idOf(send))
    expect(tasks.ledger()).toMatchObject({ taken: 2, returned: 2 })
  })

  test('our worker keeps the telemetry that the app has given it', async () => {
    const name = scene.fresh('both')
    const connection = scene.connection
    const given = { connection, telemetry: new BullMQOtel({ tracerName: 'app' }) }
    scene.keep(createWorker(tasks, name, async () => {}, given))
    await scene.queue(name, { telemetry: given.telemetry }).add('a', {})
    await outcomes(1)
    await until('their span', () => spansOf(`process ${name}`).length === 1)
    const [add] = spansOf(`add ${name}.a`)
    expect(spansOf(`process ${name}`)[0]!.parentSpanContext?.spanId).toBe(idOf(add))
    expect(linksOf(tasks.spans(`process ${name}`)[0])).toEqual([idOf(add)])
  })

  test('the context travels without a propagator', async () => {
    unregisterOpenTelemetry()
    try {
      const name = scene.fresh('silent')
      const { tracerProvider } = inMemory
      scene.keep(createWorker(tasks, name, async () => {}, { connection: scene.connection }))
      await scene.queue(name, { telemetry: telemetry({ tracerProvider }) }).add(name, {})
      await outcomes(1)
      const [send] = spansOf(`send ${name}`)
      expect(linksOf(tasks.spans(`process ${name}`)[0])).toEqual([idOf(send)])
      const plain = scene.fresh('silent')
      scene.plainWorker(plain, async () => {}, { telemetry: telemetry({ tracerProvider }) })
      await scene.queue(plain, { telemetry: telemetry({ tracerProvider }) }).add(plain, {})
      await until('its span', () => spansOf(`process ${plain}`).length === 1)
      expect(linksOf(spansOf(`process ${plain}`)[0])).toEqual([idOf(spansOf(`send ${plain}`)[0])])
    } finally {
      registerOpenTelemetry()
    }
  })

  test('jobs run where the propagator throws', async () => {
    const broken = () => {
      throw new Error('broken')
    }
    const metadata = '{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'
    propagation.disable()
    propagation.setGlobalPropagator({ inject: broken, extract: broken, fields: () => [] })
    try {
      for (const consume of Object.values(consumers)) {
        const name = scene.fresh('propagator')
        tasks = scene.tasks()
        await consume(name, () => {})
        await scene.queue(name).add(name, {}, { telemetry: { metadata } })
        await outcomes(1)
        expect(linksOf(tasks.spans(`process ${name}`)[0])).toEqual(['b7ad6b7169203331'])
      }
      const name = scene.fresh('propagator')
      scene.plainWorker(name, async () => {}, { telemetry: telemetry() })
      const job = await scene.queue(name, { telemetry: telemetry() }).add(name, {})
      await until('it to end', () => job.isCompleted())
      await scene.queue(name).add(name, {}, { telemetry: { metadata } })
      await until('their spans', () => spansOf(`process ${name}`).length === 2)
      expect(spansOf(`process ${name}`).map(linksOf)).toEqual([[], ['b7ad6b7169203331']])
    } finally {
      unregisterOpenTelemetry()
      registerOpenTelemetry()
    }
  })

  test('a dashboard of BullMQ finds what has happened to a task of ours', async () => {
    const name = scene.fresh('board')
    const task = tasks.define(
      name,
      () => {
        throw new TypeError('mailbox full')
      },
      { engine: engine(), retry: { attempts: 2, initial: 10 } },
    )
    await tasks.work()
    const handle = task.defer({ to: 'a' })
    await outcomes(1)
    const queue = new Queue(name, { connection: scene.connection })
    const job = (await queue.getJob(handle.id))!
    expect(await job.getState()).toBe('failed')
    expect(job).toMatchObject({ name, data: { to: 'a' }, failedReason: 'mailbox full', attemptsMade: 2 })
    expect(job.stacktrace!.at(-1)).toMatch(/mailbox full/)
    const { logs } = await queue.getJobLogs(handle.id)
    expect(logs).toHaveLength(2)
    const attempts = tasks.spans(`process ${name}`)
    for (const [index, line] of logs.entries()) {
      expect(line).toContain(`attempt ${index + 1} failed`)
      expect(line).toContain('TypeError: mailbox full')
      expect(line).toContain(traceOf(attempts[index]))
    }
    expect(attempts.map(({ status }) => status.code)).toEqual([SpanStatusCode.ERROR, SpanStatusCode.ERROR])
    await queue.close()
  })
})
