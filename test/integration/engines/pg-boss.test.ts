import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Consumer, Engine, EngineQueue, EngineTaskPlan, Message, Taken } from 'afterspan'
import { type PgBossOptions, pgBoss } from 'afterspan/pg-boss'
import { type Job, PgBoss } from 'pg-boss'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { describeWithServers, type RealServer, startPostgres } from '../harness/servers.ts'

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/pg-boss/${name}`, import.meta.url))
const PLAN: EngineTaskPlan = {
  priority: 'medium',
  concurrency: 100,
  timeout: undefined,
  retry: { attempts: 3, initial: 1_000, factor: 2, max: 30_000, retryIf: undefined, budget: undefined },
}
const until = (holds: () => unknown, timeout = 20_000) => vi.waitFor(holds, { timeout, interval: 10 })

function message(payload: unknown, more: Partial<Message> = {}): Message {
  return { id: randomUUID(), payload, priority: 'medium', delay: 0, key: undefined, carrier: {}, ...more }
}

let count = 0
const fresh = () => `queue-${++count}`

describeWithServers(['postgres'], 'pg-boss', () => {
  let server: RealServer
  let boss: PgBoss
  const engines = new Set<Engine>()
  const consumers = new Set<Consumer>()
  const children = new Set<ChildProcess>()

  beforeAll(async () => {
    server = await startPostgres()
    boss = new PgBoss({ connectionString: server.url, openTelemetry: { enabled: false } })
    boss.on('error', () => {})
    await boss.start()
  })
  afterAll(async () => {
    await boss.stop({ graceful: false })
    await server.dispose()
  })
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL')
    for (const consumer of consumers) await consumer.close()
    for (const engine of engines) await engine.close()
    for (const set of [children, consumers, engines]) set.clear()
  })

  function open(options: Partial<PgBossOptions> = {}): Engine {
    const engine = pgBoss(
      'boss' in options || 'pglite' in options ? options : { connectionString: server.url, ...options },
    )
    engines.add(engine)
    return engine
  }

  async function consume(queue: EngineQueue, run: (taken: Taken) => unknown, concurrency = 100): Promise<Consumer> {
    const consumer = await queue.consume({
      concurrency,
      run: async (taken) => {
        await run(taken)
      },
      onError: () => {},
    })
    consumers.add(consumer)
    return consumer
  }

  function child(file: string, ...args: string[]): ChildProcess {
    const started = fork(fixture(file), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] })
    children.add(started)
    return started
  }

  const rowOf = async (name: string, id: string) => (await boss.findJobs(name, { id }))[0]!

  test('a worker of pg-boss’s own runs a task’s job, and finds the payload in data.payload', async () => {
    const name = fresh()
    await open()
      .define(name, PLAN)
      .send(message({ to: 'a' }, { priority: 'high' }))
    const jobs: Job<{ payload?: unknown }>[] = []
    await boss.work<{ payload?: unknown }>(name, async ([job]) => {
      jobs.push(job!)
    })
    await until(() => expect(jobs).toHaveLength(1))
    expect(jobs[0]!.data.payload).toEqual({ to: 'a' })
    await boss.offWork(name)
  })

  test('jobs of pg-boss’s own producers run as tasks, at once, and however long they take', async () => {
    const name = fresh()
    const queue = open({ lock: 1_000 }).define(name, PLAN)
    const taken: Taken[] = []
    await consume(queue, async (job) => {
      taken.push(job)
      await sleep(2_500)
      await job.complete()
    })
    const ids = await Promise.all([
      boss.send(name, { afterspan: 'mine' }, { priority: 3, expireInSeconds: 1, heartbeatSeconds: 10 }),
      boss.send(name, [1] as unknown as object),
      boss.send(name),
    ])
    await until(() => expect(taken).toHaveLength(3))
    const first = taken.find(({ id }) => id === ids[0])!
    expect(first).toMatchObject({
      payload: { afterspan: 'mine' },
      task: undefined,
      carrier: undefined,
      priority: 'high',
    })
    expect(first).toMatchObject({ attempt: 1, failures: 0, attempts: 3, redelivered: false })
    expect(taken.map(({ payload }) => payload)).toEqual(expect.arrayContaining([[1], null]))
    await boss.supervise(name)
    for (const id of ids) await until(async () => expect((await rowOf(name, id!)).state).toBe('completed'))
    expect((await rowOf(name, ids[0]!)).retryCount).toBe(0)
  })

  test('in a queue that exists with other options too', async () => {
    const name = fresh()
    await boss.createQueue(name, { policy: 'exclusive', retryLimit: 0, expireInSeconds: 60 })
    const queue = open().define(name, PLAN)
    const sent = await Promise.all([1, 2, 3].map((n) => queue.send(message(n))))
    expect(sent).toEqual([true, true, true])
    const seen: unknown[] = []
    await consume(queue, async (job) => {
      seen.push(job.payload, job.attempts)
      await job.complete()
    })
    await until(() => expect(seen).toHaveLength(6))
    expect(seen.sort()).toEqual([1, 2, 3, 3, 3, 3])
  })

  test('a policy that tasks cannot follow, another schema, and keys in a table of its own are told', async () => {
    const fifo = fresh()
    await boss.createQueue(fifo, { policy: 'singleton' })
    const engine = open()
    await expect(engine.define(fifo, PLAN).send(message(1))).rejects.toMatchObject({ code: 'ERR_AFTERSPAN_ENGINE' })
    const partitioned = fresh()
    await boss.createQueue(partitioned, { partition: true })
    const queue = engine.define(partitioned, PLAN)
    const sent = await Promise.allSettled([queue.send(message(1)), queue.send(message(2, { key: 'k' }))])
    expect(sent).toMatchObject([{ value: true }, { reason: { code: 'ERR_AFTERSPAN_ENGINE' } }])
    await using other = await otherSchema()
    const wrong = open({ boss: other.boss })
    await expect(wrong.define(fresh(), PLAN).send(message(1))).rejects.toMatchObject({
      message: expect.stringContaining('schema'),
    })
    const right = open({ boss: other.boss, schema: 'elsewhere' })
    const name = fresh()
    expect(await right.define(name, PLAN).send(message(1))).toBe(true)
    expect(await other.boss.findJobs(name)).toHaveLength(1)
  })

  async function otherSchema() {
    const own = new PgBoss({ connectionString: server.url, schema: 'elsewhere' })
    own.on('error', () => {})
    await own.start()
    return { boss: own, [Symbol.asyncDispose]: () => own.stop({ graceful: false }) }
  }

  test('an attempt is made again after exactly the delay that was asked for, and knows the one before', async () => {
    const name = fresh()
    const queue = open().define(name, PLAN)
    const taken: Taken[] = []
    const times: number[] = []
    await consume(queue, async (job) => {
      times.push(performance.now())
      taken.push(job)
      if (job.attempt === 1)
        await job.retry(130, { error: new RangeError('a\0b'), traceparent: '00-1', outlives: false })
      else if (job.attempt === 2) await job.retry(420, { error: null, traceparent: undefined, outlives: false })
      else await job.complete()
    })
    await queue.send(message(1))
    await until(() => expect(taken).toHaveLength(3))
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(130)
    expect(times[1]! - times[0]!).toBeLessThan(230)
    expect(times[2]! - times[1]!).toBeGreaterThanOrEqual(420)
    expect(times[2]! - times[1]!).toBeLessThan(520)
    expect(taken.map(({ failures }) => failures)).toEqual([0, 1, 2])
    expect(taken.map(({ previous }) => previous)).toEqual([undefined, '00-1', undefined])
    expect(taken.every(({ wait }) => wait >= 0 && wait < 100)).toBe(true)
  })

  test('one that fails for good is kept with its error for as long as failed ones are, whatever retries it had left', async () => {
    const name = fresh()
    const queue = open({ keepCompleted: 60, keepFailed: 3_600 }).define(name, PLAN)
    await consume(queue, (job) =>
      job.fail({ error: new TypeError('x'.repeat(1e6)), traceparent: '00-2', outlives: false }),
    )
    const sent = message(1)
    await queue.send(sent)
    await until(async () => expect(await queue.depth()).toMatchObject({ failed: 1 }))
    const row = await rowOf(name, sent.id)
    expect(row).toMatchObject({ state: 'failed', deleteAfterSeconds: 3_600, retryCount: 0 })
    expect(row.output).toMatchObject({ name: 'TypeError', traceparent: '00-2', stack: expect.any(String) })
    expect(JSON.stringify(row.output).length).toBeLessThan(12_000)
  })

  test('and a copy of it goes to the dead letters, where the queue has some', async () => {
    const [name, letters] = [fresh(), fresh()]
    await boss.createQueue(letters)
    await boss.createQueue(name, { deadLetter: letters })
    const queue = open().define(name, PLAN)
    const settled: unknown[] = []
    await consume(queue, async (job) =>
      settled.push(await job.fail({ error: new Error('no'), traceparent: undefined, outlives: false })),
    )
    const sent = message(7)
    await queue.send(sent)
    await until(() => expect(settled).toEqual([true]))
    expect((await rowOf(name, sent.id)).state).toBe('failed')
    const [copy] = await boss.findJobs<{ payload: number }>(letters)
    expect(copy).toMatchObject({ sourceId: sent.id, data: { payload: 7 } })
  })

  test('one that is given back is taken next, and has lost no attempt', async () => {
    const queue = open().define(fresh(), PLAN)
    const taken: Taken[] = []
    const consumer = await consume(queue, async (job) => {
      taken.push(job)
      if (taken.length === 1) await job.retry(0, { error: new Error('once'), traceparent: '00-3', outlives: false })
      else if (taken.length === 2) await job.release(false)
      else await job.complete()
    })
    await queue.send(message(1))
    await until(() => expect(taken).toHaveLength(3))
    expect(taken.map(({ attempt, failures, attempts }) => [attempt, failures, attempts])).toEqual([
      [1, 0, 3],
      [2, 1, 3],
      [3, 1, 3],
    ])
    expect(taken.map(({ redelivered }) => redelivered)).toEqual([false, false, false])
    expect(taken[2]!.previous).toBe('00-3')
    await consumer.stop()
  })

  test('who has lost a task is told, and cannot settle it', async () => {
    const name = fresh()
    const queue = open({ lock: 1_000 }).define(name, PLAN)
    const taken: Taken[] = []
    let lost = 0
    await consume(queue, (job) => {
      job.onLost(() => lost++)
      taken.push(job)
      return job.attempt === 2 ? job.complete() : new Promise(() => {})
    })
    const sent = message(1)
    await queue.send(sent)
    await until(() => expect(taken).toHaveLength(1))
    // As after a silence that this process did not notice.
    await boss
      .getDb()
      .executeSql("UPDATE pgboss.job SET heartbeat_on = now() - interval '1 h' WHERE id = $1", [sent.id])
    await boss.getDb().executeSql("UPDATE pgboss.job SET state = 'retry' WHERE id = $1", [sent.id])
    await until(() => expect(taken).toHaveLength(2))
    await until(() => expect(lost).toBe(1))
    const failure = { error: new Error('late'), traceparent: undefined, outlives: false }
    const late = taken[0]!
    expect(
      await Promise.all([late.complete(), late.fail(failure), late.retry(0, failure), late.release(false)]),
    ).toEqual([false, false, false, false])
    expect((await rowOf(name, sent.id)).state).toBe('completed')
  })

  test('one whose process was lost while no consumer lives is kept by the supervision, and has lost no attempt', async () => {
    const name = fresh()
    const once = { ...PLAN, retry: { ...PLAN.retry, attempts: 1 } }
    const first = open().define(name, once)
    const sent = message(1)
    await first.send(sent)
    // As by a process that is killed: it takes the job, and is not heard of again.
    await boss.fetch(name)
    const silent = "UPDATE pgboss.job SET heartbeat_on = now() - interval '1 h' WHERE id = $1"
    for (let round = 0; round < 3; round++) {
      await boss.getDb().executeSql(silent, [sent.id])
      await boss
        .getDb()
        .executeSql("UPDATE pgboss.queue SET monitor_claim_on = now() - interval '1 h' WHERE name = $1", [name])
      await boss.supervise(name)
      const { state } = await rowOf(name, sent.id)
      expect(state).toBe('retry')
      await boss.getDb().executeSql('UPDATE pgboss.job SET start_after = now() WHERE id = $1', [sent.id])
      if (round < 2) expect(await boss.fetch(name)).toHaveLength(1)
    }
    const taken: Taken[] = []
    const consumer = await consume(open().define(name, once), async (job) => {
      taken.push(job)
      await job.complete()
    })
    await until(() => expect(taken).toHaveLength(1))
    expect(taken[0]).toMatchObject({ failures: 0, attempts: 1, redelivered: true, refusal: undefined })
    await consumer.stop()
  })

  test('of four processes that send the same 50 keys at the same instant, one is the first for each', async () => {
    const name = fresh()
    const senders = [1, 2, 3, 4].map(() => child('sender.mjs', server.url, name))
    await Promise.all(senders.map((sender) => once(sender, 'message')))
    const counts = senders.map(async (sender) => {
      sender.send('go')
      return Number((await once(sender, 'message'))[0])
    })
    const sum = (await Promise.all(counts)).reduce((all, one) => all + one, 0)
    expect(sum).toBe(50)
    expect(await boss.findJobs(name)).toHaveLength(50)
  })

  test('a key is taken while its job waits, runs, or is to be retried, and free when it has ended', async () => {
    const queue = open().define(fresh(), PLAN)
    const again = () => queue.send(message(2, { key: 'k', delay: 60_000 }))
    const steps: unknown[] = []
    const first = message(1, { key: 'k' })
    steps.push(await queue.send(first), await queue.send(first), await again())
    const done = Promise.withResolvers<void>()
    const consumer = await consume(queue, async (job) => {
      steps.push(await again())
      if (job.attempt === 1) await job.retry(50, { error: new Error('once'), traceparent: undefined, outlives: false })
      else await job.complete()
      steps.push(await again())
      if (job.attempt === 2) done.resolve()
    })
    await done.promise
    expect(steps).toEqual([true, true, false, false, false, false, true])
    await consumer.stop()
  })

  test('what PostgreSQL refuses in one of many is that one’s alone', async () => {
    const queue = open().define(fresh(), PLAN)
    const messages = Array.from({ length: 200 }, (_, n) => message(n, { key: n % 50 === 7 ? `bad \0 ${n}` : `k${n}` }))
    const results = await Promise.allSettled(messages.map((one) => queue.send(one)))
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(4)
    expect(results[7]).toMatchObject({ status: 'rejected', reason: { code: /^22/ } })
    expect(await queue.depth()).toMatchObject({ waiting: 196 })
  })

  test('2,000 sends and 2,000 ends are few statements', async () => {
    const queue = open({ boss: countingBoss() }).define(fresh(), PLAN)
    await Promise.all(Array.from({ length: 2_000 }, (_, n) => queue.send(message(n))))
    expect(statements).toBeLessThan(30)
    statements = 0
    let completed = 0
    await consume(queue, async (job) => {
      if (await job.complete()) completed++
    })
    await until(() => expect(completed).toBe(2_000))
    expect(statements).toBeLessThan(200)
  })

  let statements = 0
  function countingBoss() {
    const db = boss.getDb()
    const counting = {
      executeSql: (text: string, values?: unknown[]) => {
        statements++
        return db.executeSql(text, values)
      },
    }
    return {
      fetch: (name: string, options: object) => boss.fetch(name, { ...options, db: counting }) as Promise<unknown[]>,
      fail: boss.fail.bind(boss),
      createQueue: boss.createQueue.bind(boss),
      getQueue: boss.getQueue.bind(boss),
      getDb: () => counting,
    }
  }

  test('the task of a process that was killed runs again about when its lock has run out, and has lost no attempt', async () => {
    const LOCK = 2_000
    const name = fresh()
    const queue = open({ lock: LOCK }).define(name, { ...PLAN, retry: { ...PLAN.retry, attempts: 1 } })
    await queue.send(message(1))
    const holder = child('holder.mjs', JSON.stringify({ connectionString: server.url, lock: LOCK }), name)
    await once(holder, 'message')
    const taken: Taken[] = []
    await consume(queue, (job) => {
      taken.push(job)
      return job.complete()
    })
    // Long enough for signs of life to count.
    await sleep(LOCK * 1.5)
    expect(taken).toEqual([])
    holder.kill('SIGKILL')
    const killedAt = performance.now()
    await until(() => expect(taken).toHaveLength(1))
    const after = performance.now() - killedAt
    console.log(`pg-boss: a killed process's task ran again after ${Math.round(after)} ms, with a lock of ${LOCK} ms`)
    expect(after).toBeGreaterThan(LOCK * 0.5)
    expect(after).toBeLessThan(LOCK * 2)
    expect(taken[0]).toMatchObject({ attempt: 2, failures: 0, attempts: 1, redelivered: true, refusal: undefined })
  })

  test('an idle consumer is told of a new task at once, and of a delayed one when it is due', async () => {
    const queue = open({ pollingInterval: 60_000 }).define(fresh(), PLAN)
    const starts: number[] = []
    await consume(queue, (job) => {
      starts.push(performance.now() - (job.payload as number))
      return job.complete()
    })
    for (let n = 0; n < 20; n++) {
      await sleep(60)
      await queue.send(message(performance.now()))
    }
    await queue.send(message(performance.now(), { delay: 300 }))
    await until(() => expect(starts).toHaveLength(21))
    expect(starts.at(-1)).toBeGreaterThanOrEqual(300)
    expect(starts.at(-1)).toBeLessThan(400)
    expect(Math.max(...starts.slice(0, -1))).toBeLessThan(200)
  })

  test('a consumer that starts before the database waits for it', async () => {
    await server.stop()
    const errors: unknown[] = []
    const queue = open().define(fresh(), PLAN)
    const ready = queue.consume({
      concurrency: 1,
      run: (job) => job.complete().then(() => {}),
      onError: (error) => errors.push(error),
    })
    await until(() => expect(errors.length).toBeGreaterThan(1))
    await expect(queue.send(message(1))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await server.start()
    consumers.add(await ready)
    await queue.send(message(1))
    await until(async () => expect(await queue.depth()).toMatchObject({ waiting: 0, active: 0 }))
  })

  test('closed while it waits for the database it ends', async () => {
    await server.stop()
    try {
      const engine = open()
      const queue = engine.define(fresh(), PLAN)
      const ready = queue.consume({ concurrency: 1, run: async () => {}, onError: () => {} })
      await sleep(200)
      await engine.close()
      await (await ready).stop()
      await expect(queue.send(message(1))).rejects.toMatchObject({ code: 'ERR_AFTERSPAN_ENGINE_REFUSED' })
    } finally {
      await server.start()
    }
  })

  test('a queue that was deleted is made again', async () => {
    const name = fresh()
    const queue = open().define(name, PLAN)
    await queue.send(message(1))
    await boss.deleteQueue(name)
    expect(await queue.send(message(2))).toBe(true)
    expect(await queue.depth()).toMatchObject({ waiting: 1 })
  })
})

test('the embedded database: tasks of one process run in another, and outlive both', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'afterspan-pglite-'))
  const name = fresh()
  const taker = fork(fixture('holder.mjs'), [JSON.stringify({ pglite: directory, lock: 2_000 }), name], {
    execArgv: [],
  })
  try {
    const first = pgBoss({ pglite: directory, lock: 2_000 })
    await first.define(name, PLAN).send(message({ n: 1 }))
    await once(taker, 'message')
    await first.close()
    taker.kill('SIGKILL')
    await once(taker, 'exit')
    const second = pgBoss({ pglite: directory, lock: 2_000 })
    const queue = second.define(name, PLAN)
    const taken: Taken[] = []
    const consumer = await queue.consume({
      concurrency: 5,
      run: async (job) => {
        taken.push(job)
        await job.complete()
      },
      onError: () => {},
    })
    await until(() => expect(taken).toHaveLength(1), 60_000)
    expect(taken[0]).toMatchObject({ payload: { n: 1 }, attempt: 2, redelivered: true })
    await queue.send(message({ n: 2 }, { key: 'k' }))
    await until(() => expect(taken).toHaveLength(2))
    await until(async () => expect(await queue.depth()).toMatchObject({ active: 0, waiting: 0, failed: 0 }))
    await consumer.stop()
    await consumer.close()
    await second.close()
  } finally {
    taker.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
})

test('wrong options are told', () => {
  const wrong = (options: object) =>
    expect(() => pgBoss(options as PgBossOptions)).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_OPTION' }))
  for (const options of [
    {},
    { connectionString: 'postgres://x', pglite: './data' },
    { connectionString: '' },
    { connectionString: 'postgres://x', shema: 'y' },
    { connection: { hots: 'x' } },
    { connectionString: 'postgres://x', schema: 'a; drop' },
    { connectionString: 'postgres://x', lock: 999 },
    { connectionString: 'postgres://x', listen: 'no' },
    { boss: {} },
  ]) {
    wrong(options)
  }
  const engine = pgBoss({ connectionString: 'postgres://x', queueName: (task) => task.replace(':', '.') })
  expect(engine.define('a:b', PLAN).name).toBe('a.b')
  for (const name of ['with blank', 'a.b']) {
    expect(() => engine.define(name, PLAN)).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_ENGINE' }))
  }
})
