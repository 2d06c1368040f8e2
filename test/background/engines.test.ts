import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { Abandon, imbalance } from 'afterspan'
import { type ControlledClock, createTestTasks, MemoryEngine, type TestTasks } from 'afterspan/testing'
import { expect, test } from 'vitest'

function set(sending = {}): { tasks: TestTasks; clock: ControlledClock; engine: MemoryEngine } {
  const tasks = createTestTasks()
  return { tasks, clock: tasks.clock, engine: new MemoryEngine(tasks.clock, sending) }
}

test('a deferral is handed off once the engine has it, and run where work() is called', async () => {
  const { tasks, clock, engine } = set()
  const seen: unknown[] = []
  const mail = tasks.define('mail', (order: { id: number }, { attempt }) => seen.push([order, attempt]), { engine })
  const handle = mail.defer({ id: 7 })
  expect(handle.state).toBe('ready')
  await handle.accepted
  expect(await handle.outcome).toBe('handed_off')
  expect(seen).toEqual([])
  await tasks.work()
  await clock.turn()
  expect(seen).toEqual([[{ id: 7 }, 1]])
  expect(tasks.ledger()).toMatchObject({ deferred: 1, taken: 1, returned: 0 })
  expect(tasks.ledger().outcomes).toMatchObject({ handed_off: 1, completed: 1 })
  expect(imbalance(tasks.ledger())).toBe(0)
  expect(await tasks.metric('afterspan.task.taken', { 'task.name': 'mail' })).toBe(1)
})

test('send and process spans are linked both ways, and speak the words of messaging', async () => {
  const { tasks, clock, engine } = set()
  const mail = tasks.define('mail', () => {}, { engine })
  await mail.defer({}).accepted
  await tasks.work()
  await clock.turn()
  const [send] = tasks.spans('send q-mail')
  const [process] = tasks.spans('process q-mail')
  const [started] = tasks.spans('started mail')
  expect(send).toMatchObject({ kind: SpanKind.PRODUCER })
  expect(process).toMatchObject({ kind: SpanKind.CONSUMER, parentSpanContext: undefined })
  expect(process!.spanContext().traceId).not.toBe(send!.spanContext().traceId)
  expect(process!.links.map(({ context }) => context.spanId)).toEqual([send!.spanContext().spanId])
  expect(started!.parentSpanContext?.spanId).toBe(send!.spanContext().spanId)
  expect(started!.links.map(({ context }) => context.spanId)).toEqual([process!.spanContext().spanId])
  expect(process!.attributes).toMatchObject({
    'messaging.system': 'memory',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'q-mail',
    'task.name': 'mail',
    'task.attempt': 1,
    'task.result': 'ok',
  })
  expect(process!.attributes['messaging.message.id']).toBe(send!.attributes['messaging.message.id'])
})

test('failed attempts are ERROR, retries are roots of their own and linked to the one before, and each is given back once', async () => {
  const { tasks, clock, engine } = set()
  const mail = tasks.define(
    'mail',
    (_: unknown, { attempt }) => {
      if (attempt < 3) throw new TypeError(`no ${attempt}`)
    },
    { engine, retry: { attempts: 3, initial: 1_000 } },
  )
  const events: string[] = []
  for (const event of ['started', 'ended', 'retrying', 'finished'] as const) tasks.on(event, () => events.push(event))
  await mail.defer({}).accepted
  await tasks.work()
  for (let turn = 0; turn < 5; turn++) await clock.advance(2_000)
  const again = ['started', 'ended', 'retrying']
  expect(events).toEqual(['finished', ...again, ...again, 'started', 'ended', 'finished'])
  expect(tasks.snapshot().total.retries).toBe(2)
  const spans = tasks.spans('process q-mail')
  expect(spans.map(({ status }) => status.code)).toEqual([
    SpanStatusCode.ERROR,
    SpanStatusCode.ERROR,
    SpanStatusCode.UNSET,
  ])
  expect(new Set(spans.map((span) => span.spanContext().traceId)).size).toBe(3)
  const send = tasks.spans('send q-mail')[0]!.spanContext().spanId
  expect(spans[1]!.links.map(({ context }) => context.spanId)).toEqual([send, spans[0]!.spanContext().spanId])
  expect(spans[2]!.links.map(({ context }) => context.spanId)).toEqual([send, spans[1]!.spanContext().spanId])
  expect(tasks.spans('started mail')).toHaveLength(3)
  expect(tasks.ledger()).toMatchObject({ taken: 3, returned: 2 })
  expect(tasks.ledger().outcomes).toMatchObject({ handed_off: 1, completed: 1, failed: 0 })
  expect(await tasks.metric('afterspan.task.attempts', { 'error.type': 'TypeError' })).toBe(2)
})

test('what is given up is kept for inspection with its error', async () => {
  const { tasks, clock, engine } = set()
  const mail = tasks.define(
    'mail',
    () => {
      throw new Abandon('no such customer')
    },
    { engine, retry: { attempts: 5 } },
  )
  const { id, accepted } = mail.defer({})
  await accepted
  await tasks.work()
  await clock.turn()
  expect(tasks.ledger().outcomes).toMatchObject({ failed: 1 })
  expect(engine.queues.get('mail')!.jobs.get(id)).toMatchObject({
    state: 'failed',
    failure: { error: { message: 'no such customer' } },
  })
})

test('a refused deferral is dropped, and says why through accepted', async () => {
  const { tasks, engine } = set()
  const mail = tasks.define('mail', () => {}, { engine })
  engine.down = new Error('connect ECONNREFUSED')
  const handle = mail.defer({})
  await expect(handle.accepted).rejects.toMatchObject({
    code: 'ERR_AFTERSPAN_ENGINE_REFUSED',
    message: expect.stringMatching(/ECONNREFUSED/),
  })
  expect(await handle.outcome).toBe('dropped')
  expect(tasks.spans('send q-mail')[0]!.status.code).toBe(SpanStatusCode.ERROR)
})

test('an engine that does not answer is given up after the time for a send', async () => {
  const { tasks, clock, engine } = set({ timeout: 2_000 })
  const mail = tasks.define('mail', () => {}, { engine })
  engine.down = 'silent'
  const handle = mail.defer({})
  await clock.advance(1_999)
  expect(handle.state).toBe('ready')
  await clock.advance(2)
  await expect(handle.accepted).rejects.toMatchObject({ code: 'ERR_AFTERSPAN_ENGINE_TIMEOUT' })
})

test('with a buffer so many wait for the engine, in order, and the rest is dropped and counted', async () => {
  const { tasks, clock, engine } = set({ buffer: 3 })
  const mail = tasks.define('mail', () => {}, { engine })
  engine.down = new Error('away')
  const handles = [1, 2, 3, 4, 5].map((n) => mail.defer({ n }))
  await clock.turn()
  expect(handles.map(({ state }) => state)).toEqual(['ready', 'ready', 'ready', 'dropped', 'dropped'])
  expect(await tasks.metric('afterspan.task.finished', { 'task.outcome': 'dropped' })).toBe(2)
  expect(handles[1]!.cancel('changed my mind')).toBe(true)
  expect(await handles[1]!.outcome).toBe('cancelled')
  engine.down = undefined
  await clock.advance(10_000)
  expect(await Promise.all(handles.map(({ outcome }) => outcome))).toEqual([
    'handed_off',
    'cancelled',
    'handed_off',
    'dropped',
    'dropped',
  ])
  expect([...engine.queues.get('mail')!.jobs.values()].map(({ message }) => message.payload)).toEqual([
    { n: 1 },
    { n: 3 },
  ])
  expect(imbalance(tasks.ledger())).toBe(0)
})

test('a second deferral with the key of an unfinished one is accepted, and is none of its own', async () => {
  const { tasks, clock, engine } = set()
  let runs = 0
  const mail = tasks.define('mail', () => runs++, { engine })
  await mail.defer({}, { key: 'a' }).accepted
  const second = mail.defer({}, { key: 'a' })
  await second.accepted
  expect(await second.outcome).toBe('cancelled')
  expect(await tasks.metric('afterspan.task.deduplicated')).toBe(1)
  await tasks.work()
  await clock.turn()
  expect(runs).toBe(1)
})

test('task.cancel takes out what waits, and nothing else', async () => {
  const { tasks, clock, engine } = set()
  const mail = tasks.define('mail', () => {}, { engine })
  const handle = mail.defer({})
  await handle.accepted
  expect(await mail.cancel(handle.id)).toBe(true)
  expect(await mail.cancel(handle.id)).toBe(false)
  expect(tasks.ledger()).toMatchObject({ deferred: 1, taken: 1, returned: 0 })
  expect(tasks.ledger().outcomes).toMatchObject({ handed_off: 1, cancelled: 1 })
  await tasks.work()
  await clock.turn()
  expect(imbalance(tasks.ledger())).toBe(0)
})

test('a lost lock aborts the attempt, is seen, and nobody counts its outcome', async () => {
  const { tasks, clock, engine } = set()
  const signals: AbortSignal[] = []
  const ends: (() => void)[] = []
  const mail = tasks.define(
    'mail',
    (_: unknown, { signal }) => {
      signals.push(signal)
      return new Promise<void>((resolve) => ends.push(resolve))
    },
    { engine },
  )
  const { id, accepted } = mail.defer({})
  await accepted
  await tasks.work({ concurrency: 2 })
  await clock.turn()
  engine.queues.get('mail')!.expire(id)
  await clock.turn()
  expect(signals[0]!.aborted).toBe(true)
  expect(signals).toHaveLength(2)
  for (const end of ends) end()
  await clock.turn()
  expect(tasks.ledger()).toMatchObject({ taken: 2, returned: 1, zombies: 0 })
  expect(tasks.ledger().outcomes.completed).toBe(1)
  expect(await tasks.metric('afterspan.task.lost')).toBe(1)
  expect(await tasks.metric('afterspan.task.redelivered')).toBe(1)
  const [first, second] = tasks.spans('process q-mail')
  expect(first!.attributes).toMatchObject({ 'task.lock_lost': true, 'task.result': 'cancelled' })
  expect(second!.attributes).toMatchObject({ 'task.redelivered': true, 'task.attempt': 2 })
})

test('an outcome that the engine did not take is not counted', async () => {
  const { tasks, clock, engine } = set()
  const mail = tasks.define(
    'mail',
    () => {
      engine.down = new Error('away')
    },
    { engine },
  )
  await mail.defer({}).accepted
  await tasks.work()
  await clock.turn()
  expect(tasks.ledger()).toMatchObject({ taken: 1, returned: 1 })
  expect(tasks.ledger().outcomes.completed).toBe(0)
  expect(imbalance(tasks.ledger())).toBe(0)
})

test('a timeout ends the attempt for the engine; the handler keeps its place in the consumer until it has settled', async () => {
  const { tasks, clock, engine } = set()
  const ends: (() => void)[] = []
  const mail = tasks.define('mail', () => new Promise<void>((resolve) => ends.push(resolve)), { engine, timeout: 100 })
  const first = mail.defer({ n: 1 })
  await Promise.all([first.accepted, mail.defer({ n: 2 }).accepted])
  await tasks.work({ concurrency: 1 })
  await clock.advance(150)
  expect(engine.queues.get('mail')!.jobs.get(first.id)).toMatchObject({ state: 'failed' })
  expect(ends).toHaveLength(1)
  expect(tasks.ledger().zombies).toBe(1)
  ends[0]!()
  await clock.turn()
  expect(ends).toHaveLength(2)
  expect(tasks.ledger().zombies).toBe(0)
})

test('close takes no more, waits, and gives back what did not end in time', async () => {
  const { tasks, clock, engine } = set()
  const ends: (() => void)[] = []
  const mail = tasks.define('mail', () => new Promise<void>((resolve) => ends.push(resolve)), { engine })
  for (let n = 0; n < 3; n++) await mail.defer({ n }).accepted
  await tasks.work({ concurrency: 2 })
  await clock.turn()
  const closed = tasks.close({ grace: 1_000 })
  await clock.turn()
  ends[0]!()
  await clock.advance(1_000)
  ends[1]!()
  const ledger = await closed
  expect(ledger).toMatchObject({ deferred: 3, taken: 2, returned: 1 })
  expect(ledger.outcomes).toMatchObject({ handed_off: 3, completed: 1 })
  expect(imbalance(ledger)).toBe(0)
  expect(engine.closed).toBe(true)
  expect([...engine.queues.get('mail')!.jobs.values()].map(({ state, failures }) => [state, failures])).toEqual([
    ['waiting', 0],
    ['waiting', 0],
  ])
})

test('a payload that the schema refuses is an error at defer, and at the consumer a failure that is kept', async () => {
  const { tasks, clock, engine } = set()
  const schema = (value: unknown) => {
    if (typeof (value as { to?: unknown })?.to !== 'string') throw new TypeError('`to` is missing')
    return value as { to: string }
  }
  const mail = tasks.define('mail', () => {}, { engine, schema, retry: { attempts: 9 } })
  expect(() => mail.defer({} as never)).toThrow(
    expect.objectContaining({ code: 'ERR_AFTERSPAN_PAYLOAD', message: expect.stringMatching(/`to` is missing/) }),
  )
  const loop: Record<string, unknown> = { to: 'a' }
  loop.loop = loop
  expect(() => mail.defer(loop as never)).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_PAYLOAD' }))
  expect(tasks.ledger().deferred).toBe(0)
  const queue = engine.queues.get('mail')!
  queue.put({ id: 'x', payload: { from: 'elsewhere' }, priority: 'high', delay: 0, key: undefined, carrier: {} })
  await tasks.work()
  await clock.turn()
  expect(queue.jobs.get('x')).toMatchObject({ state: 'failed', failure: { error: { code: 'ERR_AFTERSPAN_PAYLOAD' } } })
})

test('a schema of a library is asked by Standard Schema, also where it answers later', async () => {
  const { tasks, engine } = set()
  const validate = async (value: unknown) => (value === 1 ? { value: 'one' } : { issues: [{ message: 'not one' }] })
  const seen: unknown[] = []
  const task = tasks.define('t', (payload: unknown) => seen.push(payload), {
    engine,
    schema: { '~standard': { validate } },
  })
  await expect(task.defer(2).accepted).rejects.toMatchObject({
    code: 'ERR_AFTERSPAN_PAYLOAD',
    message: expect.stringMatching(/not one/),
  })
  await task.defer(1).accepted
  await tasks.work()
  await tasks.clock.turn()
  expect(seen).toEqual(['one'])
})

test('what an engine cannot do is an error where it is asked for', async () => {
  const { tasks, engine } = set()
  expect(() => tasks.define('a', () => {}, { engine, relation: 'child' })).toThrow(
    expect.objectContaining({ code: 'ERR_AFTERSPAN_ENGINE' }),
  )
  expect(() => tasks.define('b', () => {}, { engine: {} as never })).toThrow(
    /Expected `engine` to be what bullmq\(\) or pgBoss\(\) returned/,
  )
  expect(() => tasks.defineBatch('c', () => {}, { engine } as never)).toThrow(/Unknown option `options.engine`/)
  const mail = tasks.define('mail', () => {}, { engine })
  expect(() => mail.defer(1, { relation: 'child' })).toThrow(/Expected `relation`/)
  expect(() => tasks.defer('mail', () => {})).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_ENGINE' }))
  await expect(tasks.work({ tasks: ['nope'] })).rejects.toMatchObject({ code: 'ERR_AFTERSPAN_WORK' })
  await expect(createTestTasks().work()).rejects.toMatchObject({ code: 'ERR_AFTERSPAN_WORK' })
  await tasks.work()
  await expect(tasks.work()).rejects.toMatchObject({ code: 'ERR_AFTERSPAN_WORK' })
})

test('what the engine holds is in the metrics and the snapshot, and gone when it does not answer', async () => {
  const { tasks, clock, engine } = set()
  const mail = tasks.define('mail', () => {}, { engine })
  await mail.defer({}).accepted
  await mail.defer({}, { delay: 60_000 }).accepted
  await clock.advance(5_000)
  await clock.advance(10_000)
  expect(await tasks.metric('afterspan.engine.jobs', { 'engine.state': 'waiting' })).toBe(1)
  expect(await tasks.metric('afterspan.engine.jobs', { 'engine.state': 'delayed' })).toBe(1)
  expect(await tasks.metric('afterspan.engine.oldest', { 'task.name': 'mail' })).toBe(11)
  expect(await tasks.metric('afterspan.engine.concurrency', { 'task.name': 'mail' })).toBe(0)
  expect(tasks.snapshot().engines).toMatchObject([
    { task: 'mail', system: 'memory', queue: 'q-mail', holds: { waiting: 1, delayed: 1 } },
  ])
  expect(await tasks.metric('afterspan.engine.up')).toBe(1)
  expect(tasks.snapshot().engines[0]!.up).toBe(true)
  engine.down = 'silent'
  await clock.advance(60_000)
  expect(await tasks.metric('afterspan.engine.up')).toBe(0)
  expect(tasks.snapshot().engines[0]).toMatchObject({ holds: null, up: false })
})

test('the wait of a task whose sender has a clock that is ahead is 0, and its span tells by how much', async () => {
  const { tasks, clock, engine } = set()
  const mail = tasks.define('mail', () => {}, { engine })
  engine.skew = 250
  await mail.defer({}).accepted
  await tasks.work()
  await clock.turn()
  expect(tasks.spans('process q-mail')[0]!.attributes).toMatchObject({ 'task.wait': 0, 'task.clock_skew': 0.25 })
})
