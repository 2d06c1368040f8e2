import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createTasks, type Engine, type EngineQueue, type Message } from 'afterspan'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createApp } from '../../examples/orders/app.ts'
import { CARDS } from '../../examples/orders/bank.ts'
import { Accounts, Life } from '../../examples/orders/demo/accounts.ts'
import type { SeenSpan } from '../../examples/orders/demo/collector.ts'
import { type Evidence, isRight, TASKS, verify } from '../../examples/orders/demo/verify.ts'
import { rowsOf } from '../../examples/orders/demo/waterfall.ts'
import { type Order, Orders } from '../../examples/orders/orders.ts'
import { defineTasks, type OrderRef } from '../../examples/orders/tasks.ts'
import { describeWithServers, startRedis } from './harness/servers.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WRONG_METRICS = new URL('fixtures/orders/wrong-metrics.ts', import.meta.url).href

let temporary: string

beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'orders-test-'))
})
afterAll(() => rm(temporary, { recursive: true, force: true }))

describe('the demo', { timeout: 150_000 }, () => {
  const running = new Set<ChildProcess>()
  afterEach(() => {
    for (const child of running) child.kill('SIGKILL')
  })

  async function demo(args: string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: unknown; output: string }> {
    const { REDIS_URL: _, DATABASE_URL: __, ...inherited } = process.env
    const child = spawn(process.execPath, ['examples/orders/demo.ts', ...args], {
      cwd: ROOT,
      env: { ...inherited, TMPDIR: temporary, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text
      })
    }
    const [code, signal] = await once(child, 'close')
    running.delete(child)
    return { code: code ?? signal, output }
  }

  function expectRight({ code, output }: Awaited<ReturnType<typeof demo>>): void {
    expect(code, output).toBe(0)
    expect(output).toMatch(/^All \d+ figures are what was sent\.$/m)
    expect(output).not.toContain('✗')
    // It was in the midst of its work, and more than one order of each sort was in it.
    expect(output).toMatch(/kill -9 to the worker: [1-9]\d* attempts ran in it/)
    expect(output).toMatch(/cut off by the kill, and run again +[1-9]/)
    for (const end of ['paid', 'declined', 'unpaid', 'cancelled']) {
      expect(output).toMatch(new RegExp(`^ +${end} +[1-9]`, 'm'))
    }
    expect(output).toMatch(/^orders-worker 1 +kill -9 /m)
    expect(output).toMatch(/^orders-api 1 +SIGTERM /m)
    // The trace goes through both processes.
    expect(output).toMatch(/^POST \/orders +orders-api .* 202$/m)
    expect(output).toMatch(/^ {2}send charge-card +orders-api /m)
    expect(output).toMatch(/^ {4}process charge-card +orders-worker .*attempt \d+, waited /m)
    expect(output).toMatch(/^ {6}send send-receipt +orders-worker /m)
    expect(output).toMatch(/^ {8}process send-receipt +orders-worker /m)
    expect(output).not.toContain('\x1b')
  }

  it('finds every figure right on the embedded queue, and leaves nothing behind', async () => {
    expectRight(await demo(['--once', '--seconds', '6']))
    expect(await readdir(temporary)).toEqual([])
  })

  it('exits 1 when the worker tells of a task too many', async () => {
    const preload = `${process.env.NODE_OPTIONS ?? ''} --import ${WRONG_METRICS}`
    const { code, output } = await demo(['--once', '--seconds', '3'], { NODE_OPTIONS: preload })
    expect(code, output).toBe(1)
    expect(output).toMatch(/^1 of \d+ figures are wrong\.$/m)
    expect(output).toMatch(/^orders-worker 2 +outcomes by \/metrics .*✗$/m)
  })

  it('says what its options are when it gets a wrong one', async () => {
    const { code, output } = await demo(['--seconds', 'soon'])
    expect(code).toBe(2)
    expect(output).toContain('Expected --seconds to be a number')
  })

  describeWithServers(['redis'], 'with REDIS_URL', () => {
    it('finds every figure right on BullMQ, and leaves nothing in Redis', async () => {
      await using redis = await startRedis()
      expectRight(await demo(['--once', '--seconds', '6'], { REDIS_URL: redis.url }))
      const { Redis } = await import('ioredis')
      const client = new Redis(redis.url)
      expect(await client.keys('*')).toEqual([])
      client.disconnect()
    })
  })
})

describe('the API', () => {
  /** A queue that keeps what it gets; nobody consumes. */
  class Shelf implements Engine {
    readonly system = 'shelf'
    readonly sending = { timeout: 1_000, buffer: 0 }
    readonly messages = new Map<string, Message>()
    down: Error | undefined
    /** The order of the latest message, accepted or not. */
    last: string | undefined

    define(name: string): EngineQueue {
      return {
        name,
        send: async (message) => {
          this.last = (message.payload as OrderRef).order
          if (this.down !== undefined) throw this.down
          this.messages.set(message.id, message)
          return true
        },
        cancel: async (id) => this.messages.delete(id),
        consume: () => Promise.reject(new Error('Nobody consumes it.')),
        depth: async () => ({ waiting: this.messages.size, delayed: 0, active: 0, failed: 0, oldest: 0 }),
      }
    }

    async close(): Promise<void> {}
  }

  const quiet = { info() {}, warn() {}, error() {} }
  const good = { customer: 'a@example.com', item: 'mug', quantity: 2, card: CARDS.good }
  let engine: Shelf
  let orders: Orders
  let server: Server
  let url: string
  let close: () => Promise<unknown>

  beforeEach(async () => {
    engine = new Shelf()
    orders = new Orders(await mkdtemp(join(temporary, 'api-')))
    const tasks = createTasks({ shutdown: false, logger: quiet })
    const { chargeCard } = defineTasks(tasks, engine, orders)
    server = createApp({ tasks, chargeCard, orders }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    close = () => tasks.close({ grace: 0 })
  })
  afterEach(async () => {
    server.close()
    server.closeAllConnections()
    await close()
  })

  const request = async (method: string, path: string, body?: unknown) => {
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(url + path, {
      method,
      ...(body !== undefined && { headers, body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    return { status: response.status, headers: response.headers, body: (await response.json()) as never }
  }

  it('answers 202 when the queue has the order, and tells where it is', async () => {
    const { status, headers, body } = await request('POST', '/orders', { ...good, payIn: 60 })
    const order = body as Order
    expect(status).toBe(202)
    expect(headers.get('location')).toBe(`/orders/${order.id}`)
    expect(order).toMatchObject({ number: 1, state: 'placed', total: 1_800, attempts: 0, done: {} })
    expect(order).not.toHaveProperty('card')
    expect([...engine.messages.values()]).toMatchObject([
      { id: order.taskId, payload: { order: order.id }, delay: 60_000, priority: 'high' },
    ])
    expect((await request('GET', `/orders/${order.id}`)).body).toEqual(order)
  })

  it.each([
    ['customer', { customer: 'nobody' }],
    ['item', { item: 'toString' }],
    ['quantity', { quantity: 0 }],
    ['quantity', { quantity: '2' }],
    ['card', { card: '42' }],
    ['payIn', { payIn: -1 }],
  ])('says what is wrong with the field %s: %j', async (field, change) => {
    const { status, body } = await request('POST', '/orders', { ...good, ...change })
    expect([status, body]).toMatchObject([400, { error: { code: `wrong_${field}` } }])
    expect((body as { error: { message: string } }).error.message).toContain(`"${field}"`)
    expect(engine.messages.size).toBe(0)
  })

  it('answers what is no order, and what is not there, with 4xx', async () => {
    expect((await request('POST', '/orders', '{"customer":')).status).toBe(400)
    expect((await request('POST', '/orders', '[]')).status).toBe(400)
    expect((await request('POST', '/orders', 'null')).status).toBe(400)
    expect((await request('GET', '/orders/1')).status).toBe(404)
    expect((await request('DELETE', '/orders/1')).status).toBe(404)
    expect((await request('GET', '/elsewhere')).status).toBe(404)
  })

  it('answers 503 when the queue refuses, and nothing is charged even if it has the task', async () => {
    engine.down = new Error('connect ECONNREFUSED')
    const { status, headers, body } = await request('POST', '/orders', good)
    expect([status, body]).toMatchObject([503, { error: { code: 'queue_away' } }])
    expect(headers.get('retry-after')).toBe('2')
    const refused = { states: { refused: 1 }, done: {}, charged: 0 }
    expect((await request('GET', '/orders')).body).toEqual({ ...refused, late: 0 })
    // It had come through nevertheless.
    expect(orders.begin(engine.last!)).toMatchObject({ state: 'refused' })
    expect((await request('GET', '/orders')).body).toEqual({ ...refused, late: 1 })
  })

  it('cancels what has not begun, and says 409 to the rest', async () => {
    const [first, second] = [await request('POST', '/orders', good), await request('POST', '/orders', good)]
    const [a, b] = [first.body as Order, second.body as Order]
    expect((await request('DELETE', `/orders/${a.id}`)).body).toMatchObject({ state: 'cancelled' })
    expect([...engine.messages.keys()]).toEqual([b.taskId])
    orders.begin(b.id)
    expect(await request('DELETE', `/orders/${b.id}`)).toMatchObject({
      status: 409,
      body: { error: { code: 'begun' } },
    })
    // A worker that has taken it all the same leaves it alone.
    expect(orders.begin(a.id)).toMatchObject({ state: 'cancelled' })
  })
})

describe('the accounts', () => {
  const line = (event: string, id: string, rest = '') => `event=${event} task=charge-card task_id=${id} ${rest}`

  it('count an outcome that a killed process could not tell, unless the task is run again', () => {
    const accounts = new Accounts()
    const [api, killed, next] = [new Life(), new Life(), new Life()]
    for (const id of ['done', 'cut', 'told']) {
      accounts.read(api, line('finished', id, 'outcome=handed_off'))
      accounts.read(killed, line('started', id, 'attempt=1 wait_ms=0'))
    }
    for (const id of ['done', 'told']) accounts.read(killed, line('ended', id, 'attempt=1 result=ok duration_ms=5'))
    accounts.killed(killed)
    expect(accounts).toMatchObject({ interrupted: 1, runAgain: 0, open: 1 })
    for (const id of ['cut', 'told']) {
      accounts.read(next, line('started', id, 'attempt=2 wait_ms=0'))
      accounts.read(next, line('ended', id, 'attempt=2 result=ok duration_ms=5'))
      accounts.read(next, line('finished', id, 'outcome=completed'))
    }
    expect(accounts).toMatchObject({ runAgain: 1, open: 0, twice: 0 })
    expect(accounts.account('charge-card')).toMatchObject({
      accepted: 3,
      unsaid: 0,
      completed: 2,
      uncounted: { completed: 1, failed: 0 },
    })
    accounts.read(next, line('finished', 'cut', 'outcome=completed'))
    expect(accounts.twice).toBe(1)
  })

  it('know a task whose sender was killed, and one that was never accepted', () => {
    const accounts = new Accounts()
    const [worker, api] = [new Life(), new Life()]
    accounts.read(worker, line('started', 'a', 'attempt=1 wait_ms=0'))
    accounts.read(worker, line('finished', 'a', 'outcome=completed'))
    accounts.read(api, line('finished', 'b', 'outcome=cancelled'))
    accounts.read(api, line('finished', 'c', 'outcome=dropped'))
    expect(accounts.account('charge-card')).toMatchObject({
      accepted: 1,
      unsaid: 1,
      completed: 1,
      cancelled: 0,
      open: 0,
    })
    // The queue had it, and its answer came too late.
    accounts.read(worker, line('started', 'd', 'attempt=1 wait_ms=0'))
    accounts.read(api, line('finished', 'd', 'outcome=cancelled'))
    expect(accounts.account('charge-card')).toMatchObject({ accepted: 2, unsaid: 2, cancelled: 0, open: 1 })
    accounts.read(worker, line('finished', 'd', 'outcome=completed'))
    expect(accounts).toMatchObject({ twice: 0, open: 0 })
    // The other pipe was slower.
    accounts.read(api, line('finished', 'a', 'outcome=handed_off'))
    expect(accounts.account('charge-card')).toMatchObject({ accepted: 2, unsaid: 1, completed: 2 })
  })
})

describe('the check of the demo', () => {
  const counts = (completed: number, handedOff: number) => ({
    completed,
    failed: 0,
    cancelled: 0,
    dropped: 0,
    handed_off: handedOff,
  })
  const held = (failed: number) => ({ waiting: 0, delayed: 0, active: 0, failed, oldest: 0 })
  const account = (completed: number, failed: number, cancelled: number) => {
    const uncounted = { completed: 0, failed: 0 }
    return { accepted: completed + failed + cancelled, unsaid: 0, completed, failed, cancelled, uncounted, open: 0 }
  }
  const truth = (): Evidence => ({
    seen: {
      accepted: { paid: 6, declined: 2, unpaid: 1, cancelled: 1 },
      right: 10,
      due: 9_000,
      turnedAway: 1,
      rejected: 3,
      surprises: [],
    },
    totals: {
      states: { paid: 6, declined: 2, unpaid: 1, cancelled: 1, refused: 1 },
      done: { charge: 6, receipt: 6, stock: 6, report: 6 },
      charged: 9_000,
      late: 0,
    },
    accounts: {
      'charge-card': account(6, 3, 1),
      'send-receipt': account(6, 0, 0),
      'update-stock': account(7, 0, 0),
      'order-report': { ...account(5, 0, 0), accepted: 6, uncounted: { completed: 1, failed: 0 } },
    },
    twice: 0,
    interrupted: 2,
    runAgain: 2,
    statements: [
      { name: 'orders-worker 1', log: counts(9, 9), metrics: undefined, ledger: undefined, killed: true },
      { name: 'orders-api 1', log: counts(0, 10), metrics: undefined, ledger: counts(0, 10), killed: false },
      { name: 'orders-worker 2', log: counts(9, 9), metrics: counts(9, 9), ledger: counts(9, 9), killed: false },
    ],
    holds: { 'charge-card': held(3), 'send-receipt': held(0), 'update-stock': held(0), 'order-report': held(0) },
  })
  const wrong = (evidence: Evidence) => verify(evidence).filter((check) => !isRight(check))

  it('is content with the truth', () => {
    expect(wrong(truth())).toEqual([])
  })

  /** Wrong orders make no figures, nothing depends on the other two, and a killed process has only its log. */
  const UNCHECKED = /rejected|oldest|unsaid/

  it('sees each figure that is off by one', () => {
    const paths: string[] = []
    const walk = (value: unknown, path: string, change: (by: number) => void) => {
      if (typeof value === 'number') {
        paths.push(path)
        change(1)
      } else if (typeof value === 'object' && value !== null) {
        for (const key of Object.keys(value)) visit(value as Record<string, unknown>, key, path)
      }
    }
    const missed: string[] = []
    let evidence = truth()
    const visit = (holder: Record<string, unknown>, key: string, path: string) => {
      const here = `${path}/${key}`
      walk(holder[key], here, (by) => {
        holder[key] = (holder[key] as number) + by
        const found = wrong(evidence).length > 0
        holder[key] = (holder[key] as number) - by
        if (!found && !UNCHECKED.test(here) && !here.startsWith('/statements/0')) missed.push(here)
      })
    }
    evidence = truth()
    for (const key of Object.keys(evidence)) visit(evidence as unknown as Record<string, unknown>, key, '')
    expect(paths.length).toBeGreaterThan(60)
    expect(missed).toEqual([])
  })

  it('misses what a process has not said', () => {
    const { statements, ...rest } = truth()
    const silent = statements.map((one) => ({ ...one, ledger: undefined }))
    expect(wrong({ ...rest, statements: silent }).map(({ what }) => what)).toEqual([
      'outcomes by its ledger',
      'outcomes by its ledger',
    ])
    const holds = Object.fromEntries(TASKS.map((name) => [name, null])) as Evidence['holds']
    expect(wrong({ ...truth(), holds }).map(({ what }) => what)).toContain('unfinished in the queue')
  })
})

describe('the waterfall', () => {
  const span = (traceId: string, spanId: string, parent: string | undefined, name: string, link?: string): SeenSpan => {
    const [linked, to] = link?.split('/') ?? []
    const links = linked === undefined ? [] : [{ traceId: linked, spanId: to! }]
    const rest = { service: 's', start: Number(spanId), end: Number(spanId) + 1, failed: false, attributes: {} }
    return { traceId, spanId, parent, name, links, ...rest }
  }

  it('goes from a request over its sends to the attempts in other traces, and not over the links between attempts', () => {
    const spans = [
      span('c', '6', undefined, 'process mail', 'b/5'),
      span('b', '5', '4', 'send mail'),
      span('b', '4', undefined, 'process charge', 'a/2'),
      span('a', '9', '2', 'started charge', 'b/4'),
      span('a', '2', '1', 'send charge'),
      span('a', '1', undefined, 'POST /orders'),
      span('x', '7', undefined, 'process charge', 'b/4'),
    ]
    expect(rowsOf(spans, 'a').map(({ span, depth }) => `${depth} ${span.name}`)).toEqual([
      '0 POST /orders',
      '1 send charge',
      '2 process charge',
      '3 send mail',
      '4 process mail',
    ])
  })
})
