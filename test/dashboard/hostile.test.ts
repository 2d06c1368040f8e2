import { createTestTasks, type TestTasks } from 'afterspan/testing'
import { expect, test, vi } from 'vitest'
import { sizeOf } from '../../src/background/kept-payloads.ts'
import { inScope } from '../../src/background/scope.ts'
import { previewOf } from '../../src/dashboard/preview.ts'
import type { Page, TaskDetail, WaitingTask } from '../../src/dashboard/protocol.ts'
import { type Answer, request, type Served, serve } from './serving.ts'

const NAMES = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '</script><script>alert(1)</script>',
  '__proto__',
  'constructor',
  'toString',
  '\r\nSet-Cookie: a=b\r\n\r\n<h1>',
  '\u202egnp.exe',
  '\ud800lone',
  '\u0000\u001b[31m',
  'data: x\n\nevent: now',
  '../../etc/passwd',
  '..%2f..%2f',
  '%',
  'a/b?c#d',
  '😀'.repeat(100),
]

/** What every answer has to be: JSON, said to be that, well-formed, and of bounded size. */
function sound({ status, headers, text }: Answer, limit = 200_000): void {
  expect(status).toBe(200)
  expect(headers['content-type']).toBe('application/json; charset=utf-8')
  expect(headers['x-content-type-options']).toBe('nosniff')
  expect(headers).not.toHaveProperty('set-cookie')
  expect(text.length).toBeLessThan(limit)
  expect(text.isWellFormed()).toBe(true)
  JSON.parse(text)
}

async function readAll(served: Served, tasks: TestTasks): Promise<void> {
  for (const path of ['now', 'traces', 'undeclared', 'telemetry']) sound(await served.get(`api/${path}`))
  for (const { name } of tasks.snapshot().tasks) {
    const path = `api/tasks/${encodeURIComponent(name)}`
    sound(await served.get(path))
    sound(await served.get(`${path}/waiting`), 2_000_000)
  }
}

test('hostile names of tasks, routes and errors come as text in JSON, and each task is reached by its name', async () => {
  const tasks = createTestTasks()
  const served = await serve(tasks, { actions: true, payloads: true })
  for (const name of NAMES) {
    const task = tasks.define(name, () => {
      const error = new Error(name)
      error.name = name
      throw error
    })
    const origin = { spanContext: undefined, method: name, route: name, endedAt: 0 }
    const scope = { origin, spanContext: undefined, since: 0, response: undefined }
    inScope(scope, () => task.defer({ [name]: name } as never))
  }
  await tasks.settled()
  for (const name of NAMES) tasks.pause(name)
  await readAll(served, tasks)
  expect(tasks.snapshot().tasks).toHaveLength(NAMES.length)
  for (const { name } of tasks.snapshot().tasks) {
    const { json } = await served.get(`api/tasks/${encodeURIComponent(name)}`)
    const detail = json() as TaskDetail
    expect(detail.row).toMatchObject({ name, mode: 'paused', failed: 1 })
    expect(detail.errors).toHaveLength(1)
  }
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})

test.each<[string, () => unknown]>([
  ['a message of 10 MB', () => new Error('x'.repeat(10_000_000))],
  ['a name of 10 MB', () => Object.assign(new Error('no'), { name: 'x'.repeat(10_000_000) })],
  ['a stack of 10 MB', () => Object.assign(new Error('no'), { stack: 'x'.repeat(10_000_000) })],
  ['null', () => null],
  ['a symbol', () => Symbol('no')],
  [
    'a getter that throws',
    () => ({
      get message() {
        throw new Error('no')
      },
    }),
  ],
  [
    'a proxy that throws',
    () =>
      new Proxy(
        {},
        {
          get() {
            throw new Error('no')
          },
          getPrototypeOf() {
            throw new Error('no')
          },
        },
      ),
  ],
  ['lone surrogates and marks', () => new Error('\ud800\u202e\r\n')],
])('an attempt that throws %s is shown in bounded space', async (_, make) => {
  const tasks = createTestTasks()
  const served = await serve(tasks, { actions: true })
  const task = tasks.define('work', () => {
    throw make()
  })
  for (let i = 0; i < 30; i++) task.defer()
  await tasks.settled()
  await readAll(served, tasks)
})

const circular: Record<string, unknown> = {}
circular.self = circular

const PAYLOADS: [string, () => unknown][] = [
  ['10 MB of text', () => 'x'.repeat(10_000_000)],
  ['10 MB of text in lists', () => Array.from({ length: 1_000 }, () => 'x'.repeat(10_000))],
  ['a million values', () => new Array(1_000_000).fill(1)],
  ['a circle', () => circular],
  ['depth', () => Array.from({ length: 10_000 }).reduce((inner) => ({ inner }), {})],
  [
    'a getter that throws',
    () => ({
      get secret() {
        throw new Error('no')
      },
    }),
  ],
  [
    'toJSON that throws',
    () => ({
      toJSON() {
        throw new Error('no')
      },
    }),
  ],
  [
    'a proxy that throws',
    () =>
      new Proxy(
        {},
        {
          ownKeys() {
            throw new Error('no')
          },
        },
      ),
  ],
  ['a BigInt', () => ({ n: 10n ** 5_000n })],
  ['a symbol and a function', () => ({ s: Symbol('x'), f() {} })],
  ['__proto__', () => JSON.parse('{"__proto__":{"polluted":1}}')],
  ['a wrong date', () => new Date(Number.NaN)],
  ['bytes', () => Buffer.alloc(10_000_000)],
  ['lone surrogates and marks', () => ({ '\ud800': '\u202e\r\n</script>' })],
]

test.each(PAYLOADS)('a payload that is %s is shown in 2,000 characters and none of its code runs', async (_, make) => {
  const tasks = createTestTasks()
  const served = await serve(tasks, { payloads: true })
  const task = tasks.define('work', (_: unknown) => {})
  tasks.pause('work')
  task.defer(make())
  const answer = await served.get('api/tasks/work/waiting')
  sound(answer)
  const [item] = (answer.json() as Page<WaitingTask>).items
  expect(item!.payload!.length).toBeLessThanOrEqual(2_000)
})

test('no more of a payload is read than is shown', () => {
  const begun = performance.now()
  const read = vi.fn()
  const list = new Proxy(new Array(1_000_000).fill('text'), {
    getOwnPropertyDescriptor(target, key) {
      read()
      return Reflect.getOwnPropertyDescriptor(target, key)
    },
  })
  expect(previewOf(list).length).toBe(2_000)
  expect(read.mock.calls.length).toBeLessThan(1_000)
  expect(performance.now() - begun).toBeLessThan(200)
})

test('what is shown of plain payloads is their JSON', () => {
  for (const value of [1, 'text', true, null, [1, [2]], { a: { b: [] }, c: 'd"' }, new Date(0)]) {
    expect(previewOf(value)).toBe(JSON.stringify(value))
  }
  const run = vi.fn()
  const own = {
    get secret() {
      return run()
    },
    toJSON: run,
  }
  expect(previewOf(own)).toBe('{"secret":"[getter]","toJSON":"[function]"}')
  expect(run).not.toHaveBeenCalled()
})

test.each(PAYLOADS)('a payload that is %s is kept for a retry only if its size can be told', (_, make) => {
  const size = sizeOf(make())
  if (size !== undefined) expect(size).toBeLessThanOrEqual(65_536)
})

test('sizes are those of plain data; what may hold anything has none', () => {
  expect(sizeOf({ text: 'x'.repeat(1_000) })).toBeGreaterThan(2_000)
  expect(sizeOf('x'.repeat(100_000))).toBeUndefined()
  for (const value of [
    new Map(),
    class {},
    new (class Order {})(),
    { nested: { fn() {} } },
    Symbol('x'),
    {
      get a() {
        return 1
      },
    },
  ]) {
    expect(sizeOf(value)).toBeUndefined()
  }
  expect(sizeOf(new Uint8Array(new ArrayBuffer(1_000_000), 0, 1))).toBeUndefined()
})

test.each(['%', '%zz', 'api/tasks/%ff', 'api/tasks/%', 'api/%00/x'])(
  'the path "%s" is no reason to fail',
  async (path) => {
    const { get } = await serve(createTestTasks())
    expect([400, 404]).toContain((await get(path)).status)
  },
)

test.each([
  '../package.json',
  '..%2f..%2fpackage.json',
  'assets/../../secret',
  'assets/..%5c..%5csecret',
  'THIRD-PARTY.md',
  'index.html/',
  '__proto__',
  'constructor',
  'assets/',
  '.',
  'api',
  'api/',
  'api/__proto__',
  'api/constructor',
  'api/tasks',
  'api/tasks/',
  'api/tasks/x/y/z',
  'api/now/more',
  'api/traces/a/b',
])('the path "%s" leads nowhere', async (path) => {
  const { port } = await serve(createTestTasks())
  const { status, text } = await request(port, 'GET', `/tasks/${path}`)
  expect(status).toBe(404)
  expect(text).not.toContain('devDependencies')
})

test('queries of any size and kind are answered', async () => {
  const { get } = await serve(createTestTasks())
  for (const query of [
    `trace=${'a'.repeat(10_000)}`,
    'error=%00%ff',
    '__proto__=1&trace=__proto__',
    'after=NaN',
    'range=1e9',
    '&&&===',
  ]) {
    sound(await get(`api/traces?${query}`))
  }
})

test('more names than are kept apart are one line, however many there are', async () => {
  const tasks = createTestTasks({ limits: { tasks: 10 } })
  const served = await serve(tasks)
  for (let i = 0; i < 500; i++) tasks.defer(`name-${i}`, () => {})
  await tasks.settled()
  const { json, text } = await served.get('api/now')
  expect((json() as { tasks: unknown[] }).tasks).toHaveLength(11)
  expect(text.length).toBeLessThan(50_000)
})

test('an app without a built page says so, and its data is there', async () => {
  const { get } = await serve(createTestTasks(), undefined, { root: '/nonexistent' })
  const { status, text } = await get('')
  expect(status).toBe(500)
  expect(text).toContain('npm run build')
  sound(await get('api/now'))
})

test('the page has its configuration, which cannot end its element; assets may be kept for ever, the page not', async () => {
  vi.stubEnv('OTEL_SERVICE_NAME', '</script><script>alert(1)</script>')
  const { get } = await serve(createTestTasks(), { traceUrl: 'http://jaeger:16686/trace/{traceId}' })
  vi.unstubAllEnvs()
  const { text, headers } = await get('')
  expect(headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
  const [, config] = /id="config">(.*?)<\/script>/.exec(text)!
  expect(JSON.parse(config!)).toEqual({
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    service: '</script><script>alert(1)</script>',
    actions: false,
    csrf: expect.stringMatching(/^[\w-]{43}$/),
    traceUrl: 'http://jaeger:16686/trace/{traceId}',
    payloads: false,
    profiler: false,
  })
  expect(text.match(/<script/g)).toHaveLength(2)
  const asset = await get('assets/main-abc123.js', { 'accept-encoding': 'gzip' })
  expect(asset.headers).toMatchObject({
    'content-type': 'text/javascript; charset=utf-8',
    'cache-control': 'public, max-age=31536000, immutable',
  })
})
