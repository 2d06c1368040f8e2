import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import { AfterspanError, createTasks, type TaskHandle } from 'afterspan'
import { createTestTasks } from 'afterspan/testing'
import { defineWorker, type WorkerOptions } from 'afterspan/worker'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { until } from './harness/backends.ts'
import { App, Collector } from './register-harness.ts'

const MODULE = new URL('fixtures/worker/task.mjs', import.meta.url)
const TYPED = new URL('fixtures/worker/typed.ts', import.meta.url)

type Payload = { do: string; ms?: number; code?: number; bytes?: number; callback?: () => void }

let tasks: ReturnType<typeof createTestTasks>
beforeEach(() => {
  tasks = createTestTasks({ realTime: true })
})
afterEach(() => tasks.close({ grace: 0 }))

const define = <R = unknown>(options?: WorkerOptions<Payload, R>) =>
  defineWorker<Payload, R>(tasks, 'work', MODULE, { threads: 2, ...options })

/** The error with which a run ends. */
async function failure(handle: TaskHandle): Promise<Error & { code?: string }> {
  expect(await handle.outcome).toBe('failed')
  return handle.error as Error & { code?: string }
}

test('the handler runs in a thread of its own, knows its attempt, and its result comes back', async () => {
  const results: { threadId: number; context: object }[] = []
  const work = define<{ threadId: number; context: object }>({ onResult: (result) => results.push(result) })
  const handle = work.defer({ do: 'where' })
  expect(await handle.outcome).toBe('completed')
  expect(results[0]!.threadId).not.toBe(threadId)
  expect(results[0]!.context).toEqual({ id: handle.id, task: 'work', attempt: 1 })
})

test.runIf(process.features.typescript)('a module in TypeScript runs as it is', async () => {
  let result = 0
  const double = defineWorker<{ value: number }, number>(tasks, 'double', TYPED, {
    onResult: (value) => {
      result = value
    },
  })
  expect(await double.defer({ value: 21 }).outcome).toBe('completed')
  expect(result).toBe(42)
})

test('CPU and heap of a run are counted, and stand on its span', async () => {
  const work = define()
  const handle = work.defer({ do: 'burn', ms: 150 })
  expect(await handle.outcome).toBe('completed')
  const [span] = tasks.spans('task work')
  expect(span!.attributes['task.heap']).toBeTypeOf('number')
  expect(await tasks.metric('afterspan.task.heap', { 'task.name': 'work' })).toBe(1)
  if (process.threadCpuUsage === undefined) return
  const cpu = (await tasks.metric('afterspan.task.cpu', { 'task.name': 'work' }))!
  expect(span!.attributes['task.cpu']).toBeCloseTo(cpu)
  // It computed for 150 ms of wall time, on cores that others use as well.
  expect(cpu).toBeGreaterThan(0.02)
  expect(cpu).toBeLessThan(0.5)
})

describe('one clear failure, and the pool goes on', () => {
  const cases: [string, Payload, WorkerOptions<Payload>, { name?: string; code?: string; message: RegExp }][] = [
    ['an error of the app', { do: 'throw' }, {}, { name: 'StockError', code: 'E_STOCK', message: /^nothing left$/ }],
    ['null', { do: 'throw null' }, {}, { name: 'null', message: /null/ }],
    ['process.exit(0)', { do: 'exit', code: 0 }, {}, { code: 'ERR_AFTERSPAN_WORKER_EXIT', message: /exit code 0/ }],
    ['process.exit(3)', { do: 'exit', code: 3 }, {}, { code: 'ERR_AFTERSPAN_WORKER_EXIT', message: /exit code 3/ }],
    ['a floating rejection', { do: 'float' }, {}, { name: 'RangeError', message: /floating/ }],
    [
      'out of memory',
      { do: 'memory' },
      { resourceLimits: { maxOldGenerationSizeMb: 32 } },
      { code: 'ERR_AFTERSPAN_WORKER_MEMORY', message: /out of memory/ },
    ],
    [
      'a payload with a function',
      { do: 'where', callback() {} },
      {},
      { code: 'ERR_AFTERSPAN_WORKER_CLONE', message: /payload cannot be cloned/ },
    ],
    [
      'a result with a function',
      { do: 'unclonable' },
      { onResult() {} },
      { code: 'ERR_AFTERSPAN_WORKER_CLONE', message: /returned cannot be cloned/ },
    ],
    ['an endless loop', { do: 'spin' }, { timeout: 900 }, { code: 'ERR_AFTERSPAN_TIMEOUT', message: /900 ms/ }],
    [
      'a regular expression that never ends',
      { do: 'regex' },
      { timeout: 900 },
      { code: 'ERR_AFTERSPAN_TIMEOUT', message: /900 ms/ },
    ],
  ]
  test.each(cases)('%s', async (_what, payload, options, expected) => {
    const work = define(options)
    const bystander = work.defer({ do: 'sleep', ms: 250 })
    const error = await failure(work.defer(payload))
    expect(error).toMatchObject({ ...expected, message: expect.stringMatching(expected.message) })
    expect(await bystander.outcome).toBe('completed')
    for (let index = 0; index < 4; index += 1)
      expect(await work.defer({ do: 'sleep', ms: 1 }).outcome).toBe('completed')
    // What was ended holds no slot.
    await until('the slots to be free', 2_000, async () => tasks.snapshot().concurrency.used === 0 || undefined)
    expect(tasks.ledger().zombies).toBe(0)
  })
})

test('a spinning thread is ended within 50 ms of its deadline', async () => {
  const work = define({ timeout: 400 })
  await work.defer({ do: 'sleep', ms: 1 }).outcome
  const late: number[] = []
  for (let index = 0; index < 5; index += 1) {
    const from = performance.now()
    const handle = work.defer({ do: 'spin' })
    await handle.outcome
    await until('its slot to be free', 2_000, async () => tasks.snapshot().concurrency.used === 0 || undefined)
    late.push(performance.now() - from - 400)
  }
  // Polled every 50 ms, so the median of several: a machine under load is late by itself.
  expect(late.sort((a, b) => a - b)[2]).toBeLessThan(100)
})

test('cancelling ends the thread', async () => {
  const work = define()
  const handle = work.defer({ do: 'spin' })
  await until('it to run', 5_000, async () => handle.state === 'running' || undefined)
  await sleep(100)
  handle.cancel()
  expect(await handle.outcome).toBe('cancelled')
  await until('its slot to be free', 2_000, async () => tasks.snapshot().concurrency.used === 0 || undefined)
})

test('RetryAfter and Abandon steer retries from the thread too', async () => {
  const work = define({ retry: { attempts: 3, initial: 1 } })
  await failure(work.defer({ do: 'retry after' }))
  expect(await tasks.metric('afterspan.task.attempts', { 'error.type': 'RetryAfter' })).toBe(3)
  await failure(work.defer({ do: 'abandon' }))
  expect(await tasks.metric('afterspan.task.attempts', { 'error.type': 'Abandon' })).toBe(1)
})

test('payloads and results are handed over where asked for', async () => {
  let received: Uint8Array | undefined
  const work = defineWorker<{ do: string; bytes: ArrayBuffer }, { bytes: Uint8Array }>(tasks, 'work', MODULE, {
    transfer: ({ bytes }) => [bytes],
    onResult: ({ bytes }) => {
      received = bytes
    },
  })
  const bytes = new ArrayBuffer(1_000)
  expect(await work.defer({ do: 'transfer', bytes }).outcome).toBe('completed')
  expect(bytes.byteLength).toBe(0)
  expect(received).toHaveLength(1_000)
  expect(received![0]).toBe(42)
})

test.runIf(process.platform === 'linux')('the threads give way to the event loop', async () => {
  const niceOf = (tid: number) =>
    Number(readFileSync(`/proc/self/task/${tid}/stat`, 'utf8').split(') ')[1]!.split(' ')[16])
  const work = define()
  const burning = work.defer({ do: 'burn', ms: 300 })
  await until(
    'a thread that gives way',
    5_000,
    async () =>
      readdirSync('/proc/self/task').some((tid) => niceOf(Number(tid)) === niceOf(process.pid) + 10) || undefined,
  )
  expect(await burning.outcome).toBe('completed')
})

test('an error in onResult is the attempt’s', async () => {
  const work = define({
    onResult() {
      throw new TypeError('cannot store')
    },
  })
  expect(await failure(work.defer({ do: 'where' }))).toMatchObject({ name: 'TypeError' })
})

test('what waits for a thread waits in Afterspan: concurrency is the number of threads', async () => {
  const work = define({ concurrency: 50 })
  const handles = Array.from({ length: 6 }, () => work.defer({ do: 'sleep', ms: 100 }))
  await sleep(50)
  expect(handles.filter(({ state }) => state === 'running')).toHaveLength(2)
  await Promise.all(handles.map(({ outcome }) => outcome))
})

test.each([
  [() => defineWorker({} as never, 'work', MODULE), 'ERR_AFTERSPAN_TASKS'],
  [() => defineWorker(tasks, 'work', 'https://example.com/x.js'), 'ERR_AFTERSPAN_WORKER_MODULE'],
  [() => defineWorker(tasks, 'work', new URL('./nowhere.js', import.meta.url)), 'ERR_AFTERSPAN_WORKER_MODULE'],
  [() => defineWorker(tasks, 'work', MODULE, { threads: 0 }), 'ERR_AFTERSPAN_OPTION'],
  [() => defineWorker(tasks, 'work', MODULE, { niceIncrement: 20 }), 'ERR_AFTERSPAN_OPTION'],
  [() => defineWorker(tasks, 'work', MODULE, { idleTimeout: -1 }), 'ERR_AFTERSPAN_OPTION'],
  [() => defineWorker(tasks, 'work', MODULE, { pool: 3 } as never), 'ERR_AFTERSPAN_OPTION'],
  [() => defineWorker(tasks, 'work', MODULE, { transfer: () => [], retry: { attempts: 2 } }), 'ERR_AFTERSPAN_OPTION'],
])('wrong use is refused at once (%#)', (use, code) => {
  expect(use).toThrow(AfterspanError)
  expect(use).toThrow(expect.objectContaining({ code }))
})

test('a module without a default function says so', async () => {
  const work = defineWorker(tasks, 'work', new URL('fixtures/worker/no-default.mjs', import.meta.url))
  expect(await failure(work.defer(undefined))).toMatchObject({
    code: 'ERR_AFTERSPAN_WORKER_MODULE',
    message: expect.stringContaining('no function as its default export'),
  })
})

test('close ends the threads, and lets what runs finish first', async () => {
  const own = createTasks({ shutdown: false, logger: { info() {}, warn() {}, error() {} } })
  const work = defineWorker<Payload>(own, 'work', MODULE, { threads: 1, idleTimeout: 60_000 })
  const running = work.defer({ do: 'sleep', ms: 200 })
  await until('it to run', 5_000, async () => running.state === 'running' || undefined)
  await own.close()
  expect(await running.outcome).toBe('completed')
})

describe('with register', () => {
  let collector: Collector
  let app: App
  beforeEach(async () => {
    collector = await Collector.start()
    app = new App(new URL('fixtures/worker/app.mjs', import.meta.url).pathname, {
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
        OTEL_SERVICE_NAME: 'shop',
        OTEL_BSP_SCHEDULE_DELAY: '50',
      },
    })
  })
  afterEach(async () => {
    app.child.kill('SIGKILL')
    await collector.stop()
  })

  async function work(port: number, kind: string): Promise<void> {
    const outcome = once(app.child, 'message')
    await fetch(`http://127.0.0.1:${port}/work/${kind}`, { method: 'POST' })
    await outcome
  }

  test('spans made in the thread are children of the attempt, of one process, also when the thread was ended', async () => {
    const { port } = await app.message()
    await work(port, 'where')
    await work(port, 'spin')
    await work(port, 'exit')
    const seen = await until('the spans', 10_000, async () => {
      const inner = collector.spans.filter(({ name }) => name.startsWith('inner '))
      const attempts = collector.spans.filter(({ name }) => name === 'task work')
      return inner.length === 3 && attempts.length === 3 ? { inner, attempts } : undefined
    })
    for (const kind of ['where', 'spin', 'exit']) {
      const inner = seen.inner.find(({ name }) => name === `inner ${kind}`)!
      const attempt = seen.attempts.find(({ spanId }) => spanId === inner.parentSpanId)!
      expect(inner.traceId).toBe(attempt.traceId)
      expect(inner.attributes['thread.id']).toBeGreaterThan(0)
    }
    const results = seen.attempts.map(({ attributes }) => attributes['task.result']).sort()
    expect(results).toEqual(['error', 'ok', 'timeout'])
    app.child.send('end')
    await app.exited
  })
})
