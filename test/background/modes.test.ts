import { createTestTasks, MemoryEngine } from 'afterspan/testing'
import { expect, test } from 'vitest'

const code = (error: unknown) => (error as { code?: string }).code

test('a paused task takes deferrals in and starts nothing; what runs goes on; others are not touched', async () => {
  const tasks = createTestTasks()
  const ran: string[] = []
  const gates: (() => void)[] = []
  const mail = tasks.define('mail', (name: string) => {
    ran.push(name)
    return name === 'first' ? new Promise<void>((resolve) => gates.push(resolve)) : undefined
  })
  const other = tasks.define('other', () => void ran.push('other'))
  const first = mail.defer('first')
  await tasks.clock.turn()
  tasks.pause('mail')
  const waits = [
    mail.defer('second'),
    mail.defer('third', { delay: 1_000 }),
    mail.defer('fourth', { priority: 'high' }),
  ]
  other.defer()
  gates[0]!()
  await tasks.clock.advance(5_000)
  expect(ran).toEqual(['first', 'other'])
  expect(first.state).toBe('completed')
  expect(waits.map(({ state }) => state)).toEqual(['ready', 'ready', 'ready'])
  expect(tasks.snapshot().tasks.find(({ name }) => name === 'mail')).toMatchObject({ mode: 'paused', waiting: 3 })
  tasks.resume('mail')
  await tasks.settled()
  expect(ran.slice(2)).toEqual(['fourth', 'second', 'third'])
})

test('a drained task runs what waits and drops what is new, with an error that says why', async () => {
  const tasks = createTestTasks({ concurrency: 1 })
  const mail = tasks.define('mail', () => {})
  const handles = [mail.defer(), mail.defer(undefined, { delay: 100 })]
  tasks.drain('mail')
  const late = mail.defer()
  expect(late.state).toBe('dropped')
  expect(code(late.error)).toBe('ERR_AFTERSPAN_DRAINING')
  await tasks.settled()
  expect(await Promise.all(handles.map(({ outcome }) => outcome))).toEqual(['completed', 'completed'])
  tasks.resume('mail')
  expect(await mail.defer().outcome).toBe('completed')
})

test('pause and drain replace one another', async () => {
  const tasks = createTestTasks()
  const mail = tasks.define('mail', () => {})
  tasks.pause('mail')
  const waiting = mail.defer()
  await tasks.clock.turn()
  tasks.drain('mail')
  expect(await waiting.outcome).toBe('completed')
  tasks.pause('mail')
  expect(mail.defer().state).toBe('ready')
})

test('a batch of a paused task gathers, and runs when it is resumed', async () => {
  const tasks = createTestTasks()
  const sizes: number[] = []
  const batch = tasks.defineBatch('batch', (payloads) => void sizes.push(payloads.length), { maxSize: 2, maxWait: 10 })
  tasks.pause('batch')
  for (let item = 0; item < 5; item++) batch.defer(item)
  await tasks.clock.advance(1_000)
  expect(sizes).toEqual([])
  tasks.resume('batch')
  await tasks.settled()
  expect(sizes).toEqual([2, 2, 1])
})

test.each([true, false])(
  'close does not wait for what is paused: it is cancelled at once (drain: %s)',
  async (drain) => {
    const tasks = createTestTasks()
    let ran = 0
    const mail = tasks.define('mail', () => void ran++)
    const batch = tasks.defineBatch('batch', () => void ran++)
    tasks.pause('mail')
    tasks.pause('batch')
    const handles = [mail.defer(), mail.defer(undefined, { delay: 100 }), batch.defer()]
    const before = tasks.clock.now()
    const ledger = await tasks.close({ grace: 60_000, drain })
    expect(tasks.clock.now()).toBe(before)
    expect(ledger.outcomes).toMatchObject({ cancelled: 3, completed: 0 })
    expect(handles.map(({ state }) => state)).toEqual(['cancelled', 'cancelled', 'cancelled'])
    expect(ran).toBe(0)
  },
)

test('while the process drains, what becomes ready of a paused task is cancelled', async () => {
  const tasks = createTestTasks()
  const gates: (() => void)[] = []
  const mail = tasks.define('mail', () => {})
  const parent = tasks.define('parent', async () => {
    await new Promise<void>((resolve) => gates.push(resolve))
    return mail.defer().outcome
  })
  parent.defer()
  await tasks.clock.advance(1)
  tasks.pause('mail')
  const closed = tasks.close({ grace: 60_000, drain: true })
  gates[0]!()
  expect((await closed).outcomes).toMatchObject({ completed: 1, cancelled: 1 })
})

test('each change is an event; a mode that holds already is none', () => {
  const tasks = createTestTasks()
  tasks.define('mail', () => {})
  const seen: unknown[] = []
  tasks.on('mode', (event) => seen.push(event))
  tasks.pause('mail')
  tasks.pause('mail')
  tasks.drain('mail')
  tasks.resume('mail')
  expect(seen).toEqual(['paused', 'draining', 'running'].map((mode) => ({ task: 'mail', mode })))
})

test('a name that is not known, and a task on an engine, are refused with what to do', () => {
  const tasks = createTestTasks()
  tasks.define('far', () => {}, { engine: new MemoryEngine(tasks.clock) })
  for (const mode of ['pause', 'drain', 'resume'] as const) {
    expect(() => tasks[mode]('nobody')).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_UNKNOWN_TASK' }))
    expect(() => tasks[mode]('__proto__')).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_UNKNOWN_TASK' }))
    expect(() => tasks[mode]('far')).toThrow(/pause it there/)
  }
})

test('health says that a task is paused, and is not unhealthy however long that takes', async () => {
  const { assess, HEALTH_LIMITS } = await import('../../src/stats/assess.ts')
  const tasks = createTestTasks()
  const mail = tasks.define('mail', () => {})
  tasks.pause('mail')
  mail.defer()
  await tasks.clock.advance(3_600_000)
  expect(assess(tasks.snapshot(), HEALTH_LIMITS)).toEqual({ status: 'degraded', reasons: ['mail: paused, 1 wait'] })
})
