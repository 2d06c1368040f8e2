import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import type { TaskHandle } from 'afterspan'
import { middleware } from 'afterspan/express'
import { createTestTasks, type TestTasks } from 'afterspan/testing'
import express5, { type Request, type Response } from 'express'
// @ts-expect-error The types of Express 4 are those of another package version; what is used here is the same.
import express4 from 'express4'
import { afterEach, describe, expect, test } from 'vitest'
import { listen, type TestServer } from './server.ts'

const noop = () => {}

describe.each([
  ['5', express5],
  ['4', express4 as typeof express5],
])('in Express %s', (_version, express) => {
  let server: TestServer | undefined
  afterEach(() => server?.close())

  interface Setup {
    readonly tasks: TestTasks
    readonly url: string
    readonly port: number
    /** The handle that the latest request made, and what had happened by the time the task ran. */
    readonly seen: { handle: TaskHandle; events: string[] }
  }

  async function serve(
    answer: (req: Request, res: Response, next: (error?: unknown) => void) => unknown,
    options: Parameters<typeof createTestTasks>[0] = {},
  ): Promise<Setup> {
    const tasks = createTestTasks({ realTime: true, ...options })
    const seen = { events: [] as string[] } as Setup['seen']
    const note = tasks.define('note', () => {
      seen.events.push('task')
    })
    const app = express()
    app.use(middleware(tasks))
    app.all('/', (req, res, next) => {
      seen.handle = note.defer(undefined)
      seen.events.push('deferred')
      res.on('finish', () => seen.events.push('finish'))
      return answer(req, res, next)
    })
    // Express logs errors to the console unless it is told that this is a test.
    app.set('env', 'test')
    server = await listen(app)
    return { tasks, url: server.url, port: server.port, seen }
  }

  test.each([
    ['a JSON body', 200, (_: Request, res: Response) => res.json({ ok: true })],
    ['204 without a body', 204, (_: Request, res: Response) => res.status(204).end()],
    ['304 without a body', 304, (_: Request, res: Response) => res.status(304).end()],
    ['a redirect', 302, (_: Request, res: Response) => res.redirect('/elsewhere')],
    ['a status of 500', 500, (_: Request, res: Response) => res.status(500).send('no')],
    [
      'an error passed to next',
      500,
      (_: Request, __: Response, next: (error: unknown) => void) => next(new Error('no')),
    ],
    [
      'a throw',
      500,
      () => {
        throw new Error('no')
      },
    ],
  ])('a task starts once the response has finished: %s', async (_name, status, answer) => {
    const { tasks, url, seen } = await serve(answer as never)
    const response = await fetch(url, { redirect: 'manual' })
    expect(response.status).toBe(status)
    expect(await seen.handle.outcome).toBe('completed')
    expect(seen.events).toEqual(['deferred', 'finish', 'task'])
    expect(tasks.ledger()).toMatchObject({ deferred: 1, outcomes: { completed: 1 } })
  })

  test('HEAD and a keep-alive connection with many requests: one run for each', async () => {
    const { tasks, port } = await serve((_req, res) => res.json({}))
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    for (let round = 0; round < 5; round++) {
      const request = http.request({ agent, port, host: '127.0.0.1', method: round % 2 === 0 ? 'HEAD' : 'GET' }).end()
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      response.resume()
      await once(response, 'end')
    }
    agent.destroy()
    await tasks.settled()
    expect(tasks.ledger()).toMatchObject({ deferred: 5, outcomes: { completed: 5 } })
  })

  test.each([
    ['run', 'completed'],
    ['cancel', 'cancelled'],
  ] as const)('a client that goes away before the answer: onAbort %s', async (onAbort, outcome) => {
    const { url, seen } = await serve(noop, { onAbort, onError: onAbort === 'run' ? 'cancel' : 'run' })
    const request = http.get(url)
    request.on('error', noop)
    await until(() => seen.handle !== undefined)
    expect(seen.handle.state).toBe('held')
    request.destroy()
    expect(await seen.handle.outcome).toBe(outcome)
  })

  test('a client that resets its connection in the middle of a stream counts as gone', async () => {
    const { port, seen } = await serve((_req, res) => res.write('half'), { onAbort: 'cancel' })
    const socket = net.connect(port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(socket, 'data')
    socket.resetAndDestroy()
    expect(await seen.handle.outcome).toBe('cancelled')
  })

  test.each([
    [
      'res.destroy(error) in the middle of the body',
      (_: Request, res: Response) => {
        res.write('half')
        res.destroy(new Error('no'))
      },
    ],
    [
      'an error after the headers',
      (_: Request, res: Response, next: (error: unknown) => void) => {
        res.write('half')
        setImmediate(() => next(new Error('no')))
      },
    ],
    ['a status of 503', (_: Request, res: Response) => res.status(503).end()],
  ])('onError cancels the tasks of: %s', async (_name, answer) => {
    const { url, seen } = await serve(answer as never, { onError: 'cancel', onAbort: 'run' })
    http.get(url, (response) => response.on('error', noop).resume()).on('error', noop)
    await until(() => seen.handle !== undefined)
    expect(await seen.handle.outcome).toBe('cancelled')
  })

  test('a pipelined request whose connection ends before it is answered releases its tasks', async () => {
    const handles: TaskHandle[] = []
    const tasks = createTestTasks({ realTime: true })
    const app = express()
    app.use(middleware(tasks))
    app.get('/', () => {
      handles.push(tasks.defer('note', noop))
    })
    server = await listen(app)
    const socket = net.connect(server.port, '127.0.0.1')
    socket.on('error', noop)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3))
    await until(() => handles.length === 3)
    socket.destroy()
    expect(await Promise.all(handles.map(({ outcome }) => outcome))).toEqual(['completed', 'completed', 'completed'])
  })

  test('maxHold lets the tasks of an endless response go, and its end does not run them again', async () => {
    let finish = noop
    const { tasks, url, seen } = await serve(
      (_req, res) => {
        res.write('stream')
        finish = () => res.end()
      },
      { maxHold: 20 },
    )
    const response = await fetch(url)
    expect(await seen.handle.outcome).toBe('completed')
    finish()
    await response.text()
    await tasks.settled()
    expect(seen.events).toEqual(['deferred', 'task', 'finish'])
    expect(tasks.ledger()).toMatchObject({ deferred: 1, outcomes: { completed: 1 } })
  })

  test('after the response, and outside a request, a task starts at once; in the first case with its origin', async () => {
    const tasks = createTestTasks({ realTime: true })
    const origins: unknown[] = []
    const note = tasks.define('note', (_: unknown, { origin }) => {
      origins.push(origin?.route)
    })
    const app = express()
    app.use(middleware(tasks))
    const late = Promise.withResolvers<TaskHandle>()
    app.get('/late/:id', (_req, res) => {
      res.on('close', () => setImmediate(() => late.resolve(note.defer(undefined))))
      res.end()
    })
    server = await listen(app)
    await fetch(`${server.url}/late/7`)
    expect((await late.promise).state).not.toBe('held')
    await (await late.promise).outcome
    await note.defer(undefined).outcome
    expect(origins).toEqual(['/late/:id', undefined])
  })

  test('a task deferred in a running task starts at once, under that attempt, with the route of the request', async () => {
    const tasks = createTestTasks({ realTime: true })
    const inner = tasks.define('inner', noop)
    const outer = tasks.define('outer', async () => {
      await null
      inner.defer(undefined)
    })
    const app = express()
    app.use(middleware(tasks))
    const users = express.Router()
    users.get('/:id/mail', (_req, res) => {
      outer.defer(undefined)
      res.end()
    })
    app.use('/users', users)
    server = await listen(app)
    await fetch(`${server.url}/users/7/mail`)
    await tasks.settled()
    const [outerSpan] = tasks.spans('task outer')
    const [innerSpan] = tasks.spans('task inner')
    expect(innerSpan!.parentSpanContext?.spanId).toBe(outerSpan!.spanContext().spanId)
    expect(innerSpan!.attributes['http.route']).toBe('/users/:id/mail')
    expect(await tasks.metric('afterspan.task.effect', { 'task.name': 'inner', 'http.route': '/users/:id/mail' })).toBe(
      1,
    )
  })

  test('req.defer takes a named function with its arguments, or a task with a payload; not an anonymous function', async () => {
    const tasks = createTestTasks({ realTime: true })
    const log: string[] = []
    function writeLog(...words: string[]) {
      log.push(words.join(' '))
    }
    const greet = tasks.define('greet', (name: string) => {
      log.push(`hello ${name}`)
    })
    let thrown: unknown
    const app = express()
    app.use(middleware(tasks))
    app.get('/', (req, res) => {
      req.defer(writeLog, 'order', 'created')
      req.defer(writeLog.bind(null), 'bound')
      req.defer(greet, 'Ada')
      try {
        req.defer((() => () => {})())
      } catch (error) {
        thrown = error
      }
      res.end()
    })
    server = await listen(app)
    await fetch(server.url)
    await tasks.settled()
    expect(log).toEqual(['order created', 'bound', 'hello Ada'])
    expect(thrown).toMatchObject({ code: 'ERR_AFTERSPAN_ANONYMOUS' })
    expect(tasks.spans('task writeLog')).toHaveLength(2)
  })

  test("the middleware mounted twice, or for two createTasks, holds each one's tasks once", async () => {
    const first = createTestTasks({ realTime: true })
    const second = createTestTasks({ realTime: true })
    const app = express()
    app.use(middleware(first), middleware(first), middleware(second))
    app.get('/', (_req, res) => {
      first.defer('one', noop)
      second.defer('two', noop)
      res.end()
    })
    server = await listen(app)
    await fetch(server.url)
    await Promise.all([first.settled(), second.settled()])
    expect(first.ledger()).toMatchObject({ deferred: 1, outcomes: { completed: 1 } })
    expect(second.ledger()).toMatchObject({ deferred: 1, outcomes: { completed: 1 } })
  })
})

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
}
