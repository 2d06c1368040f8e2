import { EventEmitter } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import net from 'node:net'
import { createTestTasks } from 'afterspan/testing'
import { afterEach, expect, test, vi } from 'vitest'
import { dashboard } from '../../src/dashboard/dashboard.ts'
import type { Now } from '../../src/dashboard/protocol.ts'
import { Streams } from '../../src/dashboard/streams.ts'
import { serve } from './serving.ts'

afterEach(() => void vi.useRealTimers())

interface Event {
  readonly event: string
  readonly data: string
}

/** An open page. */
class Reader {
  readonly events: Event[] = []
  status = 0
  headers: http.IncomingHttpHeaders = {}
  ended = false
  readonly #req: http.ClientRequest
  readonly opened: Promise<void>

  constructor(port: number) {
    this.#req = http.get({ host: '127.0.0.1', port, path: '/tasks/api/events', agent: false })
    this.opened = new Promise((resolve) => {
      this.#req.on('response', (res) => {
        this.status = res.statusCode!
        this.headers = res.headers
        let rest = ''
        res.on('data', (part: Buffer) => {
          const messages = (rest + part).split('\n\n')
          rest = messages.pop()!
          for (const message of messages) {
            const [, event = '', data = ''] = /^event: (.*)\ndata: (.*)$/.exec(message) ?? []
            this.events.push({ event, data })
          }
        })
        res.on('error', () => {})
        res.on('close', () => {
          this.ended = true
        })
        resolve()
      })
    })
    this.#req.on('error', () => {})
  }

  close(): void {
    this.#req.destroy()
  }
}

const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('an open page hears of what is new at once and each second, and a failure within two', async () => {
  const tasks = createTestTasks({ realTime: true })
  const work = tasks.define('work', () => {
    throw new Error('no')
  })
  const { port } = await serve(tasks)
  const reader = new Reader(port)
  await reader.opened
  await vi.waitFor(() => expect(reader.events).toHaveLength(1))
  expect(reader.status).toBe(200)
  expect(reader.headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store, no-transform',
    'x-content-type-options': 'nosniff',
  })
  work.defer()
  const failedIn = ({ data }: Event) => (JSON.parse(data) as Now).tasks[0]!.failed
  await vi.waitFor(() => expect(failedIn(reader.events.at(-1)!)).toBe(1), { timeout: 2_000 })
  await vi.waitFor(() => expect(reader.events.length).toBeGreaterThanOrEqual(3), { timeout: 3_000 })
  reader.close()
})

test('nothing is computed when nobody looks, and once for all who do', async () => {
  const tasks = createTestTasks({ realTime: true })
  const snapshot = vi.spyOn(tasks, 'snapshot')
  const { port } = await serve(tasks)
  await after(1_200)
  expect(snapshot).not.toHaveBeenCalled()
  const readers = Array.from({ length: 30 }, () => new Reader(port))
  await Promise.all(readers.map(({ opened }) => opened))
  await after(1_300)
  expect(readers.every(({ events }) => events.length >= 2)).toBe(true)
  // Two for each message: one tells whether it is over.
  expect(snapshot.mock.calls.length).toBeLessThan(10)
  for (const reader of readers) reader.close()
  await after(100)
  const calls = snapshot.mock.calls.length
  await after(1_500)
  expect(snapshot.mock.calls.length).toBe(calls)
})

test('so many pages and no more; one that is closed makes room', async () => {
  const { port } = await serve(createTestTasks(), { maxStreams: 3 })
  const readers = Array.from({ length: 3 }, () => new Reader(port))
  await Promise.all(readers.map(({ opened }) => opened))
  const fourth = new Reader(port)
  await fourth.opened
  expect(fourth.status).toBe(503)
  expect(fourth.headers['retry-after']).toBe('10')
  readers[0]!.close()
  await after(50)
  const fifth = new Reader(port)
  await fifth.opened
  expect(fifth.status).toBe(200)
  for (const reader of [...readers, fifth]) reader.close()
})

test('1,000 that want to listen, and 500 that say nothing, do not hurt', { timeout: 20_000 }, async () => {
  const { port, get } = await serve(createTestTasks({ realTime: true }))
  const idle = Array.from({ length: 500 }, () => net.connect(port, '127.0.0.1').on('error', () => {}))
  const readers = Array.from({ length: 1_000 }, () => new Reader(port))
  await Promise.all(readers.map(({ opened }) => opened))
  expect(readers.filter(({ status }) => status === 200)).toHaveLength(100)
  expect(readers.filter(({ status }) => status === 503)).toHaveLength(900)
  const begun = performance.now()
  expect((await get('api/now')).status).toBe(200)
  expect(performance.now() - begun).toBeLessThan(1_000)
  for (const reader of readers) reader.close()
  for (const socket of idle) socket.destroy()
})

/** A response that takes as much as the test wants. */
function slow() {
  const written: string[] = []
  const res = Object.assign(new EventEmitter(), {
    takes: true,
    statusCode: 0,
    destroyed: false,
    setHeader() {},
    write(text: string) {
      written.push(text)
      return res.takes
    },
    end() {
      res.emit('close')
    },
    destroy() {
      res.destroyed = true
      res.emit('close')
    },
  })
  const req = { socket: { destroyed: false } } as IncomingMessage
  return {
    written,
    res,
    req,
    add: (streams: Streams, allowed = async () => true) => streams.add(req, res as unknown as ServerResponse, allowed),
  }
}

test('to a slow reader nothing is queued: it gets the latest, and how many were left out', () => {
  vi.useFakeTimers()
  let now = 0
  const streams = new Streams(
    10,
    () => `${now++}`,
    () => false,
  )
  const { written, res, add } = slow()
  const quick = slow()
  add(streams)
  quick.add(streams)
  res.takes = false
  vi.advanceTimersByTime(5_000)
  expect(written).toEqual(['event: now\ndata: 0\n\n', 'event: now\ndata: 2\n\n'])
  expect(quick.written).toHaveLength(6)
  res.takes = true
  res.emit('drain')
  vi.advanceTimersByTime(1_000)
  expect(written.slice(2)).toEqual(['event: lost\ndata: 4\n\nevent: now\ndata: 7\n\n'])
})

test('a reader that takes nothing for a minute has gone', () => {
  vi.useFakeTimers()
  const streams = new Streams(
    10,
    () => 'x',
    () => false,
  )
  const { res, add, written } = slow()
  res.takes = false
  add(streams)
  vi.advanceTimersByTime(59_000)
  expect(streams.size).toBe(1)
  vi.advanceTimersByTime(3_000)
  expect(streams.size).toBe(0)
  expect(written).toHaveLength(1)
})

test('who may not look any more is shown no more, within a minute or so', async () => {
  vi.useFakeTimers()
  const streams = new Streams(
    10,
    () => 'x',
    () => false,
  )
  const [one, other] = [slow(), slow()]
  let may = true
  one.add(streams, async () => may)
  other.add(streams)
  await vi.advanceTimersByTimeAsync(90_000)
  expect(streams.size).toBe(2)
  may = false
  await vi.advanceTimersByTimeAsync(61_000)
  expect(streams.size).toBe(1)
  expect(other.written.length).toBeGreaterThan(140)
})

test('one that went away before it was known who it is is not kept', () => {
  const streams = new Streams(
    10,
    () => 'x',
    () => false,
  )
  const gone = slow()
  gone.res.destroyed = true
  expect(gone.add(streams)).toBe(true)
  expect(streams.size).toBe(0)
})

test('an error while the message is made ends nothing', () => {
  vi.useFakeTimers()
  let fails = false
  const streams = new Streams(
    10,
    () => {
      if (fails) throw new Error('no')
      return 'x'
    },
    () => false,
  )
  const { written, add } = slow()
  add(streams)
  fails = true
  vi.advanceTimersByTime(2_000)
  fails = false
  vi.advanceTimersByTime(1_000)
  expect(written).toHaveLength(2)
  expect(streams.size).toBe(1)
})

test('an open page does not hold up server.close(), nor tasks.close()', async () => {
  const tasks = createTestTasks({ realTime: true })
  const server = http.createServer((req, res) => {
    req.url = req.url!.replace('/tasks', '')
    dashboard(tasks)(req, res)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  const reader = new Reader(port)
  await reader.opened
  await new Promise((resolve) => server.close(resolve))
  await vi.waitFor(() => expect(reader.ended).toBe(true))

  const { port: second } = await serve(tasks)
  const other = new Reader(second)
  await other.opened
  await tasks.close({ grace: 0 })
  await vi.waitFor(() => expect(other.ended).toBe(true), { timeout: 2_000 })
})

test('a HEAD for events opens nothing', async () => {
  const page = await serve(createTestTasks(), { maxStreams: 1 })
  expect((await page.ask('HEAD', 'api/events')).status).toBe(200)
  const reader = new Reader(page.port)
  await reader.opened
  expect(reader.status).toBe(200)
  reader.close()
})
