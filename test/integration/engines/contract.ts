import { setTimeout as sleep } from 'node:timers/promises'
import { SpanStatusCode } from '@opentelemetry/api'
import {
  Abandon,
  type Engine,
  type EngineTask,
  type EngineTaskOptions,
  imbalance,
  RetryAfter,
  type Schema,
  type TaskContext,
  type TaskHandle,
} from 'afterspan'
import { createTestTasks, type TestTasks } from 'afterspan/testing'
import { afterEach, describe, expect, test } from 'vitest'

/** How an engine is reached; each call makes one anew, as another process would. */
export type MakeEngine = (options?: { lock?: number }) => Engine

/** What runs the tasks: an engine, or the process that defers them. */
export type Setup = { readonly engine: MakeEngine } | 'in-process'

interface Ended {
  readonly id: string
  readonly outcome: string
  readonly attempts: number
  readonly error: unknown
}

let count = 0
const open: TestTasks[] = []

/** A name that no other test has, so that what one leaves in the engine harms no other. */
function fresh(word: string): string {
  count++
  return `${word}-${process.pid}-${count}`
}

function make(options = {}): TestTasks {
  const tasks = createTestTasks({ realTime: true, ...options })
  open.push(tasks)
  return tasks
}

async function until(what: string, holds: () => boolean | Promise<boolean>, limit = 20_000): Promise<void> {
  const end = Date.now() + limit
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${limit} ms`)
    await sleep(10)
  }
}

/** Tasks that defer and tasks that run them: on an engine as two processes would have them, else the same. */
class Pair<P = unknown> {
  readonly producer = make()
  readonly consumer: TestTasks
  readonly ended: Ended[] = []
  readonly task: EngineTask<P>
  readonly name: string
  readonly engine: Engine | undefined

  constructor(
    setup: Setup,
    handler: (payload: P, context: TaskContext) => unknown,
    options: Omit<EngineTaskOptions<P>, 'engine'> & { schema?: Schema<P> } = {},
  ) {
    this.name = fresh('task')
    if (setup === 'in-process') {
      this.consumer = this.producer
      this.engine = undefined
      this.task = this.producer.define(this.name, handler, options) as EngineTask<P>
    } else {
      this.consumer = make()
      this.engine = setup.engine()
      this.task = this.producer.define(this.name, () => {}, { ...options, engine: this.engine })
      this.consumer.define(this.name, handler, { ...options, engine: setup.engine() })
    }
    this.consumer.on('finished', ({ id, outcome, attempts, error }) => {
      if (outcome !== 'handed_off') this.ended.push({ id, outcome, attempts, error })
    })
  }

  async work(concurrency?: number): Promise<void> {
    if (this.engine !== undefined) await this.consumer.work(concurrency === undefined ? {} : { concurrency })
  }

  async end(handle: TaskHandle): Promise<Ended> {
    await until(`the end of ${handle.id}`, () => this.ended.some(({ id }) => id === handle.id))
    return this.ended.find(({ id }) => id === handle.id)!
  }

  /** Takes it back, in the way that its kind has. */
  async cancel(handle: TaskHandle): Promise<boolean> {
    return this.engine === undefined ? handle.cancel() : await this.task.cancel(handle.id)
  }

  attempts() {
    return this.consumer
      .spans()
      .filter(({ attributes, name }) => attributes['task.result'] !== undefined && !name.startsWith('send'))
  }
}

/** What everything that runs tasks has in common. */
export function contract(name: string, setup: Setup): void {
  const onEngine = setup !== 'in-process'

  afterEach(async () => {
    const ledgers = await Promise.all(open.splice(0).map((tasks) => tasks.close({ grace: 0 })))
    expect(ledgers.map(imbalance)).toEqual(ledgers.map(() => 0))
  })

  describe(`${name}: every kind of task`, () => {
    test('is accepted, run once with its payload, and has one outcome', async () => {
      const seen: unknown[] = []
      const pair = new Pair<{ n: number }>(setup, (payload, { id, attempt }) => seen.push([payload, id, attempt]))
      const handle = pair.task.defer({ n: 1 })
      await handle.accepted
      await pair.work()
      expect(await pair.end(handle)).toMatchObject({ outcome: 'completed', attempts: 1 })
      expect(seen).toEqual([[{ n: 1 }, handle.id, 1]])
      expect(pair.consumer.ledger().outcomes.completed).toBe(1)
    })

    test('high comes before medium before low, and first in before last in', async () => {
      const seen: string[] = []
      const pair = new Pair<string>(setup, (payload) => seen.push(payload), { concurrency: 1 })
      for (const [priority, round] of [
        ['low', 1],
        ['medium', 1],
        ['high', 1],
        ['low', 2],
        ['high', 2],
        ['medium', 2],
      ] as const) {
        const handle = pair.task.defer(`${priority} ${round}`, { priority })
        if (onEngine) await handle.accepted
      }
      await pair.work(1)
      await until('six runs', () => seen.length === 6)
      expect(seen).toEqual(['high 1', 'high 2', 'medium 1', 'medium 2', 'low 1', 'low 2'])
    })

    test('a delayed one does not start before its time, and its wait is without the delay', async () => {
      let startedAt = 0
      const pair = new Pair(setup, () => {
        startedAt = Date.now()
      })
      await pair.work()
      const deferredAt = Date.now()
      const handle = pair.task.defer({}, { delay: 700 })
      await pair.end(handle)
      expect(startedAt - deferredAt).toBeGreaterThanOrEqual(695)
      const wait = pair.attempts()[0]!.attributes['task.wait'] as number
      expect(wait).toBeGreaterThanOrEqual(0)
      expect(wait).toBeLessThan(startedAt - deferredAt - 690 < 2_000 ? 2.5 : 10)
    })

    test('a failed attempt is ERROR and made again after the time that was asked for, as a trace of its own or beside it', async () => {
      const starts: number[] = []
      const pair = new Pair(
        setup,
        (_payload, { attempt }) => {
          starts.push(performance.now())
          if (attempt === 1) throw new RetryAfter(350, 'not yet')
          if (attempt === 2) throw new RangeError('still not')
        },
        { retry: { attempts: 4, initial: 40, max: 40 } },
      )
      await pair.work()
      const handle = pair.task.defer({})
      expect(await pair.end(handle)).toMatchObject({ outcome: 'completed', attempts: 3 })
      expect(starts[1]! - starts[0]!).toBeGreaterThanOrEqual(345)
      const spans = pair.attempts()
      expect(spans.map(({ status }) => status.code)).toEqual([
        SpanStatusCode.ERROR,
        SpanStatusCode.ERROR,
        SpanStatusCode.UNSET,
      ])
      expect(spans.map(({ attributes }) => attributes['error.type'])).toEqual(['RetryAfter', 'RangeError', undefined])
      expect(spans.map(({ attributes }) => attributes['task.attempt'])).toEqual([1, 2, 3])
      for (const [index, span] of spans.entries()) {
        const links = span.links.map(({ context }) => context.spanId)
        if (index > 0) expect(links).toContain(spans[index - 1]!.spanContext().spanId)
        expect(spans.map((other) => other.spanContext().spanId)).not.toContain(span.parentSpanContext?.spanId)
      }
    })

    test('its attempts are bounded, and the last error is kept', async () => {
      let runs = 0
      const pair = new Pair(
        setup,
        () => {
          runs++
          throw new TypeError(`no ${runs}`)
        },
        { retry: { attempts: 3, initial: 10, max: 10 } },
      )
      await pair.work()
      const ended = await pair.end(pair.task.defer({}))
      expect(ended).toMatchObject({ outcome: 'failed', attempts: 3, error: { message: 'no 3' } })
      await sleep(300)
      expect(runs).toBe(3)
    })

    test('Abandon and retryIf end it at once', async () => {
      const pair = new Pair<string>(
        setup,
        (payload) => {
          throw payload === 'abandon' ? new Abandon('no use') : new TypeError('not again')
        },
        { retry: { attempts: 5, initial: 10, retryIf: (error) => !(error instanceof TypeError) } },
      )
      await pair.work()
      expect(await pair.end(pair.task.defer('abandon'))).toMatchObject({ outcome: 'failed', attempts: 1 })
      expect(await pair.end(pair.task.defer('type'))).toMatchObject({ outcome: 'failed', attempts: 1 })
    })

    test('its timeout aborts the attempt, and another is made', async () => {
      const reasons: unknown[] = []
      const pair = new Pair(
        setup,
        (_payload, { attempt, signal }) =>
          attempt > 1 ||
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              reasons.push(signal.reason)
              reject(signal.reason)
            })
          }),
        { timeout: 150, retry: { attempts: 2, initial: 10 } },
      )
      await pair.work()
      expect(await pair.end(pair.task.defer({}))).toMatchObject({ outcome: 'completed', attempts: 2 })
      expect(reasons).toMatchObject([{ code: 'ERR_AFTERSPAN_TIMEOUT' }])
      expect(pair.attempts().map(({ attributes }) => attributes['task.result'])).toEqual(['timeout', 'ok'])
    })

    test('a key keeps a second one out as long as the first is unfinished', async () => {
      const runs: number[] = []
      const gate = Promise.withResolvers<void>()
      const pair = new Pair<number>(setup, async (payload) => {
        runs.push(payload)
        if (payload === 1) await gate.promise
      })
      const first = pair.task.defer(1, { key: 'k' })
      await first.accepted
      await pair.task.defer(2, { key: 'k' }).accepted
      await pair.task.defer(20, { key: 'other' }).accepted
      await pair.work()
      await until('the first runs', () => runs.includes(1))
      await pair.task.defer(3, { key: 'k' }).accepted
      gate.resolve()
      await pair.end(first)
      const fourth = pair.task.defer(4, { key: 'k' })
      await pair.end(fourth)
      expect(runs.sort()).toEqual([1, 20, 4].sort())
      expect(await pair.producer.metric('afterspan.task.deduplicated', { 'task.name': pair.name })).toBe(2)
    })

    test('one that waits can be taken back, one that has ended cannot', async () => {
      const runs: number[] = []
      const pair = new Pair<number>(setup, (payload) => runs.push(payload))
      const later = pair.task.defer(1, { delay: 60_000 })
      await later.accepted
      expect(await pair.cancel(later)).toBe(true)
      expect(await pair.cancel(later)).toBe(false)
      await pair.work()
      const now = pair.task.defer(2)
      await pair.end(now)
      expect(await pair.cancel(now)).toBe(false)
      expect(runs).toEqual([2])
      expect(pair.producer.ledger().outcomes.cancelled).toBe(1)
    })

    test('no more of them run at once than may', async () => {
      let running = 0
      let most = 0
      const pair = new Pair<number>(
        setup,
        async () => {
          most = Math.max(most, ++running)
          await sleep(20)
          running--
        },
        { concurrency: 3 },
      )
      const handles = Array.from({ length: 30 }, (_, n) => pair.task.defer(n))
      await Promise.all(handles.map(({ accepted }) => accepted))
      await pair.work(8)
      await Promise.all(handles.map((handle) => pair.end(handle)))
      expect(most).toBe(3)
    })

    test('one that throws anything harms no other', async () => {
      const hostile = [
        null,
        undefined,
        Symbol('s'),
        new Proxy(
          {},
          {
            get: () => {
              throw new Error('trap')
            },
          },
        ),
        Object.freeze(new Error('frozen')),
        new Error('x'.repeat(10_000_000)),
      ]
      const pair = new Pair<number>(setup, (payload) => {
        if (payload < hostile.length) throw hostile[payload]
      })
      await pair.work()
      const handles = Array.from({ length: hostile.length + 3 }, (_, n) => pair.task.defer(n))
      const ends = await Promise.all(handles.map((handle) => pair.end(handle)))
      expect(ends.map(({ outcome }) => outcome)).toEqual([
        ...hostile.map(() => 'failed'),
        'completed',
        'completed',
        'completed',
      ])
    })
  })

  if (setup !== 'in-process') onEngines(name, setup)
}

/** What engines have in common. */
function onEngines(name: string, setup: { readonly engine: MakeEngine }): void {
  describe(`${name}: a task on an engine`, () => {
    test('is accepted by the one process, and run by the other, and both can be reached from either trace', async () => {
      const pair = new Pair(setup, () => {})
      const handle = pair.task.defer({})
      expect(await handle.outcome).toBe('handed_off')
      await pair.work()
      await pair.end(handle)
      const [send] = pair.producer.spans(`send ${pair.name}`)
      const [attempt] = pair.consumer.spans(`process ${pair.name}`)
      const [started] = pair.consumer.spans(`started ${pair.name}`)
      expect(attempt!.parentSpanContext).toBeUndefined()
      expect(attempt!.links.map(({ context }) => context.spanId)).toEqual([send!.spanContext().spanId])
      expect(started!.spanContext().traceId).toBe(send!.spanContext().traceId)
      expect(started!.links.map(({ context }) => context.spanId)).toEqual([attempt!.spanContext().spanId])
      for (const [span, operation] of [
        [send, 'send'],
        [attempt, 'process'],
      ] as const) {
        expect(span!.attributes).toMatchObject({
          'messaging.system': pair.engine!.system,
          'messaging.operation.name': operation,
          'messaging.operation.type': operation,
          'messaging.destination.name': pair.name,
          'messaging.message.id': handle.id,
          'task.id': handle.id,
        })
      }
      expect(pair.producer.ledger()).toMatchObject({ deferred: 1, taken: 0 })
      expect(pair.consumer.ledger()).toMatchObject({ deferred: 0, taken: 1, returned: 0 })
    })

    test('that fails is kept for inspection', async () => {
      const pair = new Pair(setup, () => {
        throw new TypeError('broken')
      })
      await pair.work()
      await pair.end(pair.task.defer({}))
      const queue = setup.engine().define(pair.name, plan())
      expect(await queue.depth()).toMatchObject({ failed: 1, waiting: 0, active: 0, delayed: 0 })
    })

    test('carries whatever JSON can, and says so at defer where it cannot', async () => {
      const payloads = [
        null,
        'text',
        42,
        [1, [2]],
        { a: { b: '✓ \u2028 \u0000 "' } },
        { big: 'x'.repeat(1_000_000) },
        '',
        false,
      ]
      const seen: unknown[] = []
      const pair = new Pair<unknown>(setup, (payload) => seen.push(payload), { concurrency: 1 })
      for (const payload of [...payloads, undefined]) await pair.task.defer(payload).accepted
      await pair.work()
      await until('all of them', () => seen.length === payloads.length + 1)
      expect(seen).toEqual([...payloads, null])
      expect(() => pair.task.defer(1n)).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_PAYLOAD' }))
    })

    test('with a payload that is wrong where it is run fails clearly, once, and is kept', async () => {
      const schema = (value: unknown) => {
        if (value !== 'right') throw new TypeError('not right')
        return 'right'
      }
      const producer = make()
      const name = fresh('task')
      const task = producer.define(name, () => {}, { engine: setup.engine() })
      const consumer = make()
      const runs: unknown[] = []
      consumer.define(name, (payload: unknown) => runs.push(payload), {
        engine: setup.engine(),
        schema,
        retry: { attempts: 5 },
      })
      await task.defer('wrong').accepted
      await task.defer('right').accepted
      await consumer.work()
      await until('both', () => consumer.ledger().taken === 2 && consumer.ledger().states.running === 0)
      expect(consumer.ledger().outcomes).toMatchObject({ completed: 1, failed: 1 })
      expect(runs).toEqual(['right'])
      expect(await setup.engine().define(name, plan()).depth()).toMatchObject({ failed: 1 })
    })

    test('whose origin is another process counts its route there, and defers on under it', async () => {
      const name = fresh('task')
      const producer = make()
      const task = producer.define(name, () => {}, { engine: setup.engine() })
      const consumer = make()
      let origin: unknown
      consumer.define(
        name,
        (_payload, context) => {
          origin = context.origin
          consumer.defer('inner', () => {})
        },
        { engine: setup.engine() },
      )
      await consumer.work()
      const handle = task.defer({})
      await handle.accepted
      await until('the inner one', () => consumer.spans('task inner').length === 1)
      expect(origin).toMatchObject({ spanContext: { spanId: producer.spans(`send ${name}`)[0]!.spanContext().spanId } })
      expect(consumer.spans('task inner')[0]!.parentSpanContext?.spanId).toBe(
        consumer.spans(`process ${name}`)[0]!.spanContext().spanId,
      )
    })

    test('what the engine holds of it is told by state, with the age of the oldest', async () => {
      const gate = Promise.withResolvers<void>()
      const pair = new Pair<string>(setup, async (payload) => {
        if (payload === 'fail') throw new Error('no')
        await gate.promise
      })
      await pair.task.defer('fail').accepted
      await pair.work(1)
      await until('the failure', () => pair.ended.length === 1)
      await pair.task.defer('runs').accepted
      await until('it runs', () => pair.consumer.ledger().states.running === 1)
      await pair.task.defer('waits', { priority: 'low' }).accepted
      await sleep(1_100)
      await pair.task.defer('waits', { priority: 'high' }).accepted
      await pair.task.defer('later', { delay: 60_000 }).accepted
      const depth = await setup.engine().define(pair.name, plan()).depth()
      expect(depth).toMatchObject({ failed: 1, active: 1, waiting: 2, delayed: 1 })
      expect(depth.oldest).toBeGreaterThan(1)
      expect(depth.oldest).toBeLessThan(5)
      gate.resolve()
    })

    test('is put into the queue once, however often it is sent', async () => {
      const pair = new Pair(setup, () => {})
      const queue = setup.engine().define(pair.name, plan())
      const message = {
        id: crypto.randomUUID(),
        payload: 1,
        priority: 'medium',
        delay: 0,
        key: undefined,
        carrier: {},
      } as const
      expect(await Promise.all([queue.send(message), queue.send(message)])).toEqual([true, true])
      expect(await queue.send(message)).toBe(true)
      expect((await queue.depth()).waiting).toBe(1)
    })

    test('that is interrupted by a closing process runs again elsewhere, and has lost no attempt', async () => {
      const started = Promise.withResolvers<void>()
      const pair = new Pair(setup, (_payload, { signal }) => {
        started.resolve()
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      })
      await pair.work()
      pair.task.defer({})
      await started.promise
      const ledger = await pair.consumer.close({ grace: 50 })
      expect(ledger).toMatchObject({ taken: 1, returned: 1 })
      const second = make()
      const attempts: number[] = []
      second.define(pair.name, (_payload, { attempt }) => attempts.push(attempt), { engine: setup.engine() })
      await second.work()
      await until('it runs again', () => second.ledger().outcomes.completed === 1)
      expect(attempts).toEqual([2])
      expect(second.spans(`process ${pair.name}`)[0]!.attributes['task.redelivered']).toBeUndefined()
    })

    test('that failed in one process is linked to that attempt in the next', async () => {
      const pair = new Pair(
        setup,
        () => {
          throw new Error('first')
        },
        { retry: { attempts: 2, initial: 300, max: 300 } },
      )
      await pair.work()
      await pair.task.defer({}).accepted
      await until('the first attempt', () => pair.consumer.ledger().returned === 1)
      await pair.consumer.close({ grace: 0 })
      const second = make()
      second.define(pair.name, () => {}, { engine: setup.engine() })
      await second.work()
      await until('the second attempt', () => second.ledger().outcomes.completed === 1)
      const [before] = pair.consumer.spans(`process ${pair.name}`)
      const [after] = second.spans(`process ${pair.name}`)
      expect(after!.links.map(({ context }) => context.spanId)).toContain(before!.spanContext().spanId)
      expect(after!.attributes['task.attempt']).toBe(2)
    })

    test('whose handler outlives its timeout keeps its place, and the next waits for it', async () => {
      const ends: (() => void)[] = []
      const pair = new Pair(setup, () => new Promise<void>((resolve) => ends.push(resolve)), { timeout: 100 })
      await pair.task.defer({}).accepted
      await pair.task.defer({}).accepted
      await pair.work(1)
      await until('the timeout', () => pair.ended.length === 1)
      await sleep(700)
      expect(ends).toHaveLength(1)
      expect(pair.consumer.ledger().zombies).toBe(1)
      ends[0]!()
      await until('the next', () => ends.length === 2)
      ends[1]!()
    })

    test('2,000 of them, by two consumers, are each run once and counted once', async () => {
      const runs = new Map<string, number>()
      const run = (_payload: unknown, { id }: TaskContext) => {
        runs.set(id, (runs.get(id) ?? 0) + 1)
      }
      const pair = new Pair(setup, run)
      const second = make()
      second.define(pair.name, run, { engine: setup.engine() })
      await Promise.all([pair.work(), second.work()])
      const handles = Array.from({ length: 2_000 }, (_, n) => pair.task.defer(n))
      await Promise.all(handles.map(({ accepted }) => accepted))
      const completed = () => pair.consumer.ledger().outcomes.completed + second.ledger().outcomes.completed
      await until('all of them', () => completed() === 2_000, 60_000)
      expect(runs.size).toBe(2_000)
      expect([...runs.values()].every((times) => times === 1)).toBe(true)
      expect(second.ledger().taken).toBeGreaterThan(0)
    })
  })
}

function plan() {
  return {
    priority: 'medium',
    concurrency: 1,
    timeout: undefined,
    retry: { attempts: 1, initial: 1_000, factor: 2, max: 30_000, retryIf: undefined, budget: undefined },
  } as const
}
