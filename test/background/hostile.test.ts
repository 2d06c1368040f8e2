import { context, type TracerProvider, trace } from '@opentelemetry/api'
import { createTasks, imbalance } from 'afterspan'
import { createTestTasks } from 'afterspan/testing'
import { expect, test } from 'vitest'
import { describeError } from '../../src/model/describe-error.ts'
import { selfHealth } from '../../src/telemetry/self-health.ts'

const throwingProxy = () =>
  new Proxy(
    {},
    {
      get() {
        throw new Error('get')
      },
      getPrototypeOf() {
        throw new Error('getPrototypeOf')
      },
      has() {
        throw new Error('has')
      },
      ownKeys() {
        throw new Error('ownKeys')
      },
    },
  )

function causeLoop() {
  const error = new Error('loop')
  error.cause = error
  return error
}

const THROWN: [string, () => unknown][] = [
  ['null', () => null],
  ['undefined', () => undefined],
  ['a symbol', () => Symbol('s')],
  ['a string', () => 'text'],
  ['a Proxy whose traps throw', throwingProxy],
  ['an object without prototype', () => Object.create(null)],
  ['a frozen error', () => Object.freeze(new Error('frozen'))],
  [
    'getters that throw',
    () =>
      Object.defineProperties(new Error('x'), {
        message: {
          get() {
            throw new Error('m')
          },
        },
        stack: {
          get() {
            throw new Error('s')
          },
        },
        name: {
          get() {
            throw new Error('n')
          },
        },
      }),
  ],
  ['a message of 10 MB', () => new Error('x'.repeat(10_000_000))],
  ['lone surrogates', () => new Error('\ud800')],
  ['a cause that is itself', causeLoop],
  ['a function', () => function thrown() {}],
  ['a bigint', () => 10n],
]

test.each(THROWN)(
  'a handler may throw %s: one outcome, a short description, the process lives',
  async (_name, make) => {
    const tasks = createTestTasks({ retry: { attempts: 2, initial: 0, retryIf: () => true } })
    const handles = [
      tasks.defer('sync', () => {
        throw make()
      }),
      tasks.defer('async', async () => {
        throw make()
      }),
      tasks.track('tracked', Promise.reject(make())),
    ]
    await tasks.settled()
    expect(await Promise.all(handles.map(({ outcome }) => outcome))).toEqual(['failed', 'failed', 'failed'])
    expect(imbalance(tasks.ledger())).toBe(0)
    for (const span of tasks.spans()) {
      expect(span.status.code).toBe(2)
      expect(JSON.stringify([span.status, span.events, span.attributes]).length).toBeLessThan(15_000)
      expect(typeof span.attributes['error.type']).toBe('string')
    }
    expect(tasks.spans()).toHaveLength(5)
  },
)

// biome-ignore-start lint/suspicious/noThenProperty: thenables are what is tested
test.each([
  [
    'a then that throws',
    () => ({
      get then() {
        throw new Error('then')
      },
    }),
    'failed',
  ],
  [
    'a thenable that calls back many times',
    () => ({
      then(ok: () => void, no: (error: unknown) => void) {
        no(1)
        ok()
        no(2)
        throw new Error()
      },
    }),
    'failed',
  ],
  [
    'a promise whose own then calls both back',
    () =>
      Object.assign(Promise.resolve(), {
        then(ok: () => void, no: (error: unknown) => void) {
          ok()
          no(1)
          ok()
        },
      }),
    'completed',
  ],
  ['a Proxy', throwingProxy, 'failed'],
  ['a function', () => () => {}, 'completed'],
])('a handler may return %s: one outcome', async (_name, value, outcome) => {
  const tasks = createTestTasks()
  const handle = tasks.defer('odd', value)
  await tasks.settled()
  expect(await handle.outcome).toBe(outcome)
  expect(tasks.ledger()).toMatchObject({ deferred: 1, outcomes: { [outcome]: 1 }, states: { running: 0 }, zombies: 0 })
  expect(tasks.snapshot().concurrency.used).toBe(0)
})

// biome-ignore-end lint/suspicious/noThenProperty: thenables are what is tested

test('hooks, listeners and loggers that throw are counted and harm nobody', async () => {
  const count = (reason: string) => selfHealth.count('afterspan.telemetry.caught', reason)
  const before = { retry_if: count('retry_if'), listener: count('listener'), logger: count('logger') }
  const fail = () => {
    throw new Error('hook')
  }
  const tasks = createTestTasks({
    logger: { info: fail, warn: fail, error: fail },
    retry: { attempts: 3, retryIf: fail },
  })
  for (const event of ['deferred', 'started', 'ended', 'retrying', 'finished'] as const) tasks.on(event, fail)
  const handle = tasks.defer('work', fail)
  await tasks.settled()
  expect(await handle.outcome).toBe('failed')
  expect(count('retry_if') - before.retry_if).toBe(1)
  expect(count('listener') - before.listener).toBe(4)
  expect(count('logger') - before.logger).toBe(1)
})

test('a tracing set-up that throws costs the spans, not the task', async () => {
  const broken = {
    getTracer: () => ({
      startSpan() {
        throw new Error('sdk')
      },
      startActiveSpan() {},
    }),
  } as unknown as TracerProvider
  const before = selfHealth.count('afterspan.telemetry.caught', 'span')
  const tasks = createTasks({ shutdown: false, tracerProvider: broken })
  const handle = tasks.defer('work', ({ span, signal }) => {
    span.setAttribute('a', 1)
    expect(signal.aborted).toBe(false)
  })
  expect(await handle.outcome).toBe('completed')
  expect(selfHealth.count('afterspan.telemetry.caught', 'span')).toBe(before + 1)
})

test('describeError never throws and is always short and well-formed', () => {
  for (const [name, make] of THROWN) {
    const description = describeError(make())
    expect(description.type.length, name).toBeGreaterThan(0)
    expect(description.message.length, name).toBeLessThanOrEqual(2_048)
    expect(description.message.isWellFormed(), name).toBe(true)
  }
  class HttpError extends Error {}
  expect(describeError(new HttpError('no')).type).toBe('HttpError')
  expect(describeError(new DOMException('no', 'AbortError')).type).toBe('AbortError')
  expect(describeError('text')).toEqual({ type: 'string', message: 'text', stack: undefined })
})

test('a handler sees the AsyncLocalStorage of its own deferral, not that of whoever freed the slot', async () => {
  const { AsyncLocalStorage } = await import('node:async_hooks')
  const user = new AsyncLocalStorage<string>()
  const tasks = createTestTasks({ concurrency: 1 })
  const seen: (string | undefined)[] = []
  const work = tasks.define('work', async () => {
    seen.push(user.getStore())
    await null
    seen.push(user.getStore())
  })
  user.run('ada', () => work.defer())
  user.run('bob', () => work.defer())
  work.defer()
  await tasks.settled()
  expect(seen).toEqual(['ada', 'ada', 'bob', 'bob', undefined, undefined])
  expect(trace.getSpan(context.active())).toBeUndefined()
})
