import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Engine, imbalance, type Ledger, type TaskHandle } from 'afterspan'
import { createTestTasks, type TestTasks } from 'afterspan/testing'
import { afterEach, expect, test, vi } from 'vitest'
import { type RealServer, startProxy } from '../harness/servers.ts'

/** An engine whose server can be hurt. */
export interface FaultSetup {
  readonly server: () => RealServer
  /** What reaches it at a port. */
  readonly options: (
    port: number,
    more?: { lock?: number; buffer?: number; sendTimeout?: number; maxRedeliveries?: number },
  ) => readonly [string, object]
  readonly engine: (options: readonly [string, object]) => Engine
}

/** The shortest time after which a silent consumer's tasks are somebody else's, ms. */
const LOCK = 1_000
const consumerFile = fileURLToPath(new URL('../fixtures/engines/consumer.mjs', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'afterspan-faults-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true }))

let count = 0
const children = new Set<ChildProcess>()
const open: TestTasks[] = []

/** What the consumers of one task have written down. */
class Notes {
  readonly file = join(work, `${++count}.txt`)
  readonly name = `faults-${process.pid}-${count}`

  constructor() {
    writeFileSync(this.file, '')
  }

  lines(word: string): string[][] {
    return readFileSync(this.file, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith(`${word} `))
      .map((line) => line.split(' ').slice(1))
  }

  /** How often each task was counted as ended. */
  ends(outcome?: string): Map<string, number> {
    const ends = new Map<string, number>()
    for (const [id, word] of this.lines('end')) {
      if (outcome === undefined || word === outcome) ends.set(id!, (ends.get(id!) ?? 0) + 1)
    }
    return ends
  }
}

async function consumer(
  options: readonly [string, object],
  notes: Notes,
  settings: object = {},
): Promise<ChildProcess> {
  const child = fork(consumerFile, [JSON.stringify(options), notes.file, notes.name, JSON.stringify(settings)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
  })
  children.add(child)
  child.once('exit', () => children.delete(child))
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => {
      throw new Error('the consumer ended')
    }),
  ])
  return child
}

function producer(setup: FaultSetup, options: readonly [string, object], notes: Notes, attempts = 1) {
  const tasks = createTestTasks({ realTime: true })
  open.push(tasks)
  return {
    tasks,
    task: tasks.define<object>(notes.name, () => {}, {
      engine: setup.engine(options),
      retry: { attempts, initial: 10 },
    }),
  }
}

async function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill(signal)
  await exit
}

const until = (holds: () => Promise<unknown>, timeout: number) => vi.waitFor(holds, { timeout, interval: 50 })
const accepted = (handles: readonly TaskHandle[]) => Promise.allSettled(handles.map((handle) => handle.accepted))

/** What may go wrong with an engine and those who use it, done to the real server. */
export function faults(name: string, setup: FaultSetup): void {
  afterEach(async () => {
    await Promise.all([...children].map((child) => endOf(child, 'SIGKILL')))
    for (const tasks of open.splice(0)) expect(imbalance(await tasks.close({ grace: 0 }))).toBe(0)
  })

  test(`${name}: 5,000 tasks whose consumers are killed 200 times in mid-run are all done, and none is counted twice`, async () => {
    const TASKS = 5_000
    const KILLS = 200
    const notes = new Notes()
    const options = setup.options(setup.server().port, { lock: LOCK, maxRedeliveries: 1_000 })
    const { task } = producer(setup, options, notes)
    const handles = Array.from({ length: TASKS }, (_, n) => task.defer({ n, ms: 5 + (n % 40) }))
    expect((await accepted(handles)).filter(({ status }) => status === 'rejected')).toEqual([])
    let kills = 0
    const one = async () => {
      while (kills < KILLS) {
        const runs = notes.lines('run').length
        const child = await consumer(options, notes, { concurrency: 4 })
        await until(async () => expect(notes.lines('run').length).toBeGreaterThan(runs), 20_000)
        await sleep(Math.random() * 60)
        if (kills++ < KILLS) await endOf(child, 'SIGKILL')
      }
    }
    await Promise.all([one(), one(), one()])
    const queue = setup.engine(options).define(notes.name, plan)
    const last = await consumer(options, notes, { concurrency: 32 })
    await until(
      async () => expect(await queue.depth()).toMatchObject({ waiting: 0, active: 0, delayed: 0, failed: 0 }),
      90_000,
    )
    const ends = notes.ends('completed')
    const runs = new Map<string, number>()
    for (const [id] of notes.lines('run')) runs.set(id!, (runs.get(id!) ?? 0) + 1)
    const again = [...runs.values()].filter((times) => times > 1).length
    // Completed in the engine, by a process that was killed before it could count: nobody can.
    const uncounted = TASKS - ends.size
    console.log(
      `${name}: ${kills} kills, ${again} tasks run again, ${uncounted} done by a process that was killed before it counted`,
    )
    expect([...runs.keys()].sort()).toEqual(handles.map(({ id }) => id).sort())
    expect([...ends.values()].filter((times) => times > 1)).toEqual([])
    expect(notes.ends('failed').size).toBe(0)
    expect(again).toBeGreaterThan(0)
    // At most what it ran at once.
    expect(uncounted).toBeLessThanOrEqual(KILLS * 4)
    await endOf(last, 'SIGTERM')
  }, 600_000)

  test(`${name}: while the server is stopped and started under load, everything is refused, or accepted and done`, async () => {
    const notes = new Notes()
    const options = setup.options(setup.server().port, { lock: 5_000, sendTimeout: 2_000 })
    const { tasks, task } = producer(setup, options, notes)
    await consumer(options, notes)
    const handles: TaskHandle[] = []
    const load = setInterval(() => handles.push(task.defer({ ms: 1 }), task.defer({ ms: 1 })), 5)
    await sleep(700)
    await setup.server().stop()
    await sleep(1_500)
    await setup.server().start()
    await sleep(2_500)
    clearInterval(load)
    const results = await accepted(handles)
    const taken = handles.filter((_, index) => results[index]!.status === 'fulfilled')
    const refused = results.flatMap((result) =>
      result.status === 'rejected' ? [(result.reason as { code?: string }).code] : [],
    )
    expect(taken.length).toBeGreaterThan(100)
    expect(refused.length).toBeGreaterThan(50)
    const allowed = ['ERR_AFTERSPAN_ENGINE_REFUSED', 'ERR_AFTERSPAN_ENGINE_TIMEOUT']
    expect(refused.filter((code) => !allowed.includes(code ?? ''))).toEqual([])
    await until(async () => expect(taken.filter(({ id }) => !notes.ends('completed').has(id))).toEqual([]), 60_000)
    expect([...notes.ends().values()].filter((times) => times > 1)).toEqual([])
    expect(tasks.ledger().outcomes).toMatchObject({ handed_off: taken.length, dropped: refused.length })
  }, 120_000)

  test(`${name}: with a buffer a restart of the server loses nothing`, async () => {
    const notes = new Notes()
    const options = setup.options(setup.server().port, { lock: 5_000, sendTimeout: 2_000, buffer: 10_000 })
    const { tasks, task } = producer(setup, options, notes)
    await consumer(options, notes)
    const handles: TaskHandle[] = []
    const load = setInterval(() => handles.push(task.defer({ ms: 1 })), 5)
    await sleep(500)
    await setup.server().stop()
    await sleep(1_500)
    expect(tasks.ledger().states.ready).toBeGreaterThan(50)
    await setup.server().start()
    await sleep(1_500)
    clearInterval(load)
    expect((await accepted(handles)).filter(({ status }) => status === 'rejected')).toEqual([])
    await until(async () => expect(handles.filter(({ id }) => !notes.ends('completed').has(id))).toEqual([]), 60_000)
    expect([...notes.ends().values()].filter((times) => times > 1)).toEqual([])
  }, 120_000)

  test(`${name}: a server that is not there refuses at defer, and says why`, async () => {
    const notes = new Notes()
    await using proxy = await startProxy(setup.server())
    proxy.cut()
    const { task } = producer(setup, setup.options(proxy.port, { sendTimeout: 3_000 }), notes)
    const before = performance.now()
    await expect(task.defer({}).accepted).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_AFTERSPAN_ENGINE_(REFUSED|TIMEOUT)$/),
    })
    await expect(task.defer({}).accepted).rejects.toMatchObject({
      code: 'ERR_AFTERSPAN_ENGINE_REFUSED',
      message: expect.stringMatching(/ECONNREFUSED|closed|not/),
    })
    expect(performance.now() - before).toBeLessThan(6_500)
    await proxy.mend()
    await until(async () => await task.defer({}).accepted, 15_000)
  }, 60_000)

  test(`${name}: over a connection that has gone silent a send ends in time, in doubt, and is done at most once`, async () => {
    const notes = new Notes()
    await using proxy = await startProxy(setup.server())
    const { task } = producer(setup, setup.options(proxy.port, { sendTimeout: 1_000 }), notes)
    await task.defer({ n: 0 }).accepted
    proxy.silence()
    const before = performance.now()
    const handles = [1, 2, 3].map((n) => task.defer({ n }))
    const results = await accepted(handles)
    expect(results).toMatchObject(
      [1, 2, 3].map(() => ({ status: 'rejected', reason: { code: 'ERR_AFTERSPAN_ENGINE_TIMEOUT' } })),
    )
    expect(performance.now() - before).toBeLessThan(3_000)
    proxy.resume()
    await consumer(setup.options(setup.server().port), notes)
    await until(async () => await task.defer({ n: 4 }).accepted, 30_000)
    await until(async () => expect(notes.ends('completed').size).toBeGreaterThanOrEqual(2), 30_000)
    await sleep(500)
    expect([...notes.ends().values()].filter((times) => times > 1)).toEqual([])
  }, 120_000)

  test(`${name}: a consumer whose connection has gone silent stops what it runs, another does it, and one counts it`, async () => {
    const notes = new Notes()
    await using proxy = await startProxy(setup.server())
    const lock = { lock: LOCK }
    const { task } = producer(setup, setup.options(setup.server().port, lock), notes)
    const options = setup.options(proxy.port, lock)
    const tasks = createTestTasks({ realTime: true })
    open.push(tasks)
    const signals: AbortSignal[] = []
    tasks.define(
      notes.name,
      (_payload, { signal }) => {
        signals.push(signal)
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      },
      { engine: setup.engine(options) },
    )
    await tasks.work()
    const handle = task.defer({})
    await until(async () => expect(signals).toHaveLength(1), 20_000)
    proxy.silence()
    await consumer(setup.options(setup.server().port, lock), notes)
    await until(async () => expect(notes.ends('completed').get(handle.id)).toBe(1), 60_000)
    await until(async () => expect(signals[0]!.aborted).toBe(true), 60_000)
    proxy.resume()
    await until(async () => expect(tasks.ledger().states.running).toBe(0), 60_000)
    expect(await tasks.metric('afterspan.task.lost')).toBe(1)
    expect(tasks.ledger()).toMatchObject({ taken: 1, returned: 1 })
    expect(tasks.spans(`process ${notes.name}`)[0]!.attributes).toMatchObject({ 'task.lock_lost': true })
    expect(notes.lines('run')).toHaveLength(1)
  }, 180_000)

  test(`${name}: a consumer whose event loop was held for longer than its lock is seen to have run a task twice`, async () => {
    const notes = new Notes()
    const options = setup.options(setup.server().port, { lock: LOCK })
    const { task } = producer(setup, options, notes)
    const slow = await consumer(options, notes, { concurrency: 1 })
    const handle = task.defer({ spin: 6_000, ms: 0 })
    await until(async () => expect(notes.lines('run')).toHaveLength(1), 20_000)
    const other = await consumer(options, notes, { concurrency: 1 })
    await until(async () => expect(notes.ends('completed').get(handle.id)).toBe(1), 60_000)
    await sleep(2_000)
    expect(notes.ends().get(handle.id)).toBe(1)
    expect(notes.lines('run').map(([, attempt]) => attempt)).toEqual(['1', '2'])
    await Promise.all([endOf(slow, 'SIGTERM'), endOf(other, 'SIGTERM')])
    const ledgers = notes.lines('ledger').map(([text]) => JSON.parse(text!) as Ledger)
    expect(ledgers.map(imbalance)).toEqual([0, 0])
    expect(ledgers.map(({ taken }) => taken)).toEqual([1, 1])
    expect(ledgers.reduce((sum, { returned }) => sum + returned, 0)).toBe(1)
  }, 120_000)

  test(`${name}: consumers that get SIGTERM under load give back what does not end in time, and nothing is lost or counted twice`, async () => {
    const notes = new Notes()
    const options = setup.options(setup.server().port, { lock: 5_000 })
    const { task } = producer(setup, options, notes)
    const handles = Array.from({ length: 600 }, (_, n) => task.defer({ ms: n % 10 === 0 ? 1_500 : 10 }))
    await accepted(handles)
    for (let round = 0; round < 4; round++) {
      const child = await consumer(options, notes, { concurrency: 16, grace: 300 })
      await sleep(250)
      await endOf(child, 'SIGTERM')
    }
    await consumer(options, notes, { concurrency: 64 })
    await until(async () => expect(notes.ends('completed').size).toBe(600), 90_000)
    expect([...notes.ends().values()].filter((times) => times > 1)).toEqual([])
    expect(notes.ends('failed').size + notes.ends('cancelled').size).toBe(0)
    const ledgers = notes.lines('ledger').map(([text]) => JSON.parse(text!) as Ledger)
    expect(ledgers).toHaveLength(4)
    expect(ledgers.map(imbalance)).toEqual([0, 0, 0, 0])
    expect(ledgers.reduce((sum, { returned }) => sum + returned, 0)).toBeGreaterThan(0)
  }, 180_000)

  test(`${name}: a task that ends every process that runs it fails in the end, and the others are done`, async () => {
    const notes = new Notes()
    const options = setup.options(setup.server().port, { lock: LOCK, maxRedeliveries: 2 })
    const { task } = producer(setup, options, notes)
    const bad = task.defer({ exit: true })
    await bad.accepted
    for (let starts = 0; starts < 3; starts++) {
      const child = await consumer(options, notes).catch(() => undefined)
      if (child !== undefined && child.exitCode === null) await once(child, 'exit')
    }
    await consumer(options, notes)
    const good = task.defer({ ms: 1 })
    await until(async () => expect(notes.ends().size).toBe(2), 60_000)
    expect(notes.ends('completed').get(good.id)).toBe(1)
    expect(notes.lines('end').find(([id]) => id === bad.id)).toEqual([bad.id, 'failed', 'ERR_AFTERSPAN_REDELIVERED'])
    expect(notes.lines('run').filter(([id]) => id === bad.id)).toHaveLength(3)
  }, 180_000)
}

const plan = {
  priority: 'medium',
  concurrency: 1,
  timeout: undefined,
  retry: { attempts: 1, initial: 1_000, factor: 2, max: 30_000, retryIf: undefined, budget: undefined },
} as const
