import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../src/engines/pg-boss/embedded.ts'
import { placeOf, takeLock } from '../../src/engines/pg-boss/embedded-place.ts'

const fixture = fileURLToPath(new URL('./fixtures/embedded/process.ts', import.meta.url))
const TABLE = 'create table if not exists load (id text not null)'

let directory: string
let children: Member[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'embedded-'))
  children = []
})
afterEach(async () => {
  await Promise.all(children.map((child) => child.kill()))
  rmSync(directory, { recursive: true, force: true })
})

type Message = { id?: number; value?: unknown; error?: string; done?: string; lost?: string; bossError?: string }

/** A process on the directory. */
class Member {
  readonly done: string[] = []
  readonly lost: string[] = []
  readonly bossErrors: string[] = []
  readonly ready: Promise<unknown>
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #waiting = new Map<number, (message: Message) => void>()
  #lastId = 0

  constructor(path = directory) {
    this.#child = fork(fixture, [path], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#exited = once(this.#child, 'close')
    this.ready = once(this.#child, 'message')
    this.#child.on('message', (message: Message) => {
      if (message.done !== undefined) this.done.push(message.done)
      if (message.lost !== undefined) this.lost.push(message.lost)
      if (message.bossError !== undefined) this.bossErrors.push(message.bossError)
      if (message.id !== undefined) this.#waiting.get(message.id)?.(message)
    })
    children.push(this)
  }

  get pid() {
    return this.#child.pid!
  }

  async do<T = unknown>(action: string, ...args: unknown[]): Promise<T> {
    await this.ready
    this.#lastId += 1
    const id = this.#lastId
    const { value, error } = await new Promise<Message>((resolve) => {
      this.#waiting.set(id, resolve)
      this.#child.send({ id, action, args })
    })
    if (error !== undefined) throw new Error(error)
    return value as T
  }

  sql = <T = Record<string, unknown>>(text: string, values?: unknown[]) => this.do<T[]>('sql', text, values)
  who = () => this.do<{ role: string; owner?: number }>('who')

  async kill() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL')
    await this.#exited
  }
}

async function ownerOf(members: Member[]) {
  const roles = await Promise.all(members.map(async (member) => (await member.who()).role))
  expect(roles.filter((role) => role === 'owner')).toHaveLength(1)
  return members[roles.indexOf('owner')]!
}

async function ids(member: Member) {
  return (await member.sql<{ id: string }>('select id from load order by id')).map(({ id }) => id)
}

test('one process: it is the owner, and what it wrote is there when the directory is opened again', async () => {
  const member = new Member()
  expect(await member.who()).toEqual({ role: 'none' })
  await member.sql(TABLE)
  await member.sql('insert into load values ($1)', ['a'])
  expect(await member.who()).toEqual({ role: 'owner', owner: member.pid })
  await member.do('reopen')
  expect(await ids(member)).toEqual(['a'])
  expect(await member.do('second')).toBe('guest')
  expect(await member.do('close')).toBeUndefined()
  await expect(member.sql('select 1')).rejects.toThrow('ERR_AFTERSPAN_ENGINE_REFUSED')
  expect(statSync(join(directory, 'afterspan')).mode & 0o777).toBe(0o700)
})

test('four processes that start at the same instant: one owner, and every row is there', async () => {
  const members = Array.from({ length: 4 }, () => new Member())
  await Promise.all(members.map(({ ready }) => ready))
  await Promise.all(members.map((member) => member.sql(TABLE)))
  await Promise.all(members.map((member) => member.do('insert', 200)))
  const owner = await ownerOf(members)
  expect(await Promise.all(members.map(async (member) => (await member.who()).owner))).toEqual(
    members.map(() => owner.pid),
  )
  for (const member of members) {
    const all = await ids(member)
    expect(all).toHaveLength(800)
    expect(new Set(all).size).toBe(800)
  }
})

test('owner and guest get the same values and the same errors', async () => {
  const owner = new Member()
  await owner.sql('create table once (id int constraint only_once unique)')
  const guest = new Member()
  await guest.sql('insert into once values (1)')
  expect(await guest.who()).toEqual({ role: 'guest', owner: owner.pid })
  expect(await guest.do('types')).toEqual(await owner.do('types'))
  expect(await guest.do('types')).toMatchObject({ big: 'bigint9007199254740993', small: 7, bytes: [1, 2] })
  const twice = 'insert into once values (1)'
  expect(await guest.do('failing', twice)).toMatchObject({ code: '23505', constraint: 'only_once' })
  expect(await guest.do('failing', twice)).toEqual(await owner.do('failing', twice))
})

test('a text with a transaction is atomic, and an error or a BEGIN without an end leaves nothing behind', async () => {
  const owner = new Member()
  await owner.sql('create table account (id int primary key, amount int)')
  await owner.sql('insert into account values (1, 0), (2, 0)')
  const guests = [new Member(), new Member()]
  const move =
    'begin; update account set amount = amount + 1 where id = 1; update account set amount = amount - 1 where id = 2; commit'
  const fail = 'begin; update account set amount = amount + 1 where id = 1; insert into account values (2, 9); commit'
  const open = 'begin; update account set amount = 99'
  const errors: unknown[] = []
  await Promise.all(
    [owner, ...guests].map(async (member) => {
      for (let n = 0; n < 30; n++) {
        await member.sql(move)
        errors.push(await member.do('failing', fail), await member.do('failing', open))
        expect(await member.sql('select sum(amount)::int as sum from account')).toEqual([{ sum: 0 }])
      }
    }),
  )
  expect(new Set(errors.map((error) => (error as { code: string }).code))).toEqual(
    new Set(['23505', 'ERR_AFTERSPAN_ENGINE']),
  )
  expect(await owner.sql('select * from account order by id')).toEqual([
    { id: 1, amount: 90 },
    { id: 2, amount: -90 },
  ])
  // What a text returns in its middle is not lost behind its end.
  const returning = 'begin; insert into account values (3, 3) returning id; commit'
  expect(await guests[0]!.sql(returning)).toEqual([{ id: 3 }])
})

test('owners killed under load, ten times: a new one each time, and no acknowledged row is lost', async () => {
  let members = Array.from({ length: 4 }, () => new Member())
  await members[0]!.sql(TABLE)
  const all = [...members]
  const acknowledged = () => all.reduce((sum, { done }) => sum + done.length, 0)
  await Promise.all(members.map((member) => member.do('load')))
  const owners: number[] = []
  for (let round = 0; round < 10; round++) {
    const before = acknowledged()
    await expect.poll(acknowledged, { timeout: 30_000 }).toBeGreaterThan(before + 50)
    await delay(Math.random() * 50)
    const owner = await ownerOf(members)
    owners.push(owner.pid)
    await owner.kill()
    members = members.filter((member) => member !== owner)
    const another = new Member()
    members.push(another)
    all.push(another)
    await another.do('load')
  }
  await Promise.all(members.map((member) => member.do('stopLoad')))
  owners.push((await ownerOf(members)).pid)
  expect(new Set(owners).size).toBe(11)
  await Promise.all(members.map((member) => member.kill()))

  const rows = await ids(new Member())
  const done = all.flatMap((member) => member.done)
  const lost = new Set(all.flatMap((member) => member.lost))
  expect(done.filter((id) => !rows.includes(id))).toEqual([])
  expect(rows.filter((id, at) => rows[at + 1] === id && !lost.has(id))).toEqual([])
  // Of each guest at most the one statement that was with the owner.
  expect(all.flatMap((member) => member.lost).length).toBeLessThanOrEqual(30)
  await check(children.at(-1)!)
})

/** Reads every row of every table, and every index. */
async function check(member: Member) {
  await member.sql('create index on load (id)')
  await member.sql('reindex table load')
  const [heap] = await member.sql('select count(*)::int as n from load')
  const index = 'begin; set local enable_seqscan = off; select count(*)::int as n from load where id >= $$$$; commit'
  expect(await member.sql(index)).toEqual([heap])
  await member.sql('vacuum analyze')
}

test('a statement that was with the owner when it was killed fails and is not sent again; those behind it are sent', async () => {
  const [owner, guest] = [new Member(), new Member()]
  await owner.sql(TABLE)
  await guest.sql('select 1')
  const busy = 'select count(*) from generate_series(1, 30000000)'
  const unanswered = guest.do('failing', `begin; insert into load values ('first'); commit; ${busy}`)
  const behind = guest.sql("insert into load values ('second')")
  await delay(1_500)
  expect(await guest.who()).toEqual({ role: 'guest', owner: owner.pid })
  await owner.kill()
  expect(await unanswered).toMatchObject({ code: 'ERR_AFTERSPAN_ENGINE_TIMEOUT' })
  await behind
  expect(await guest.who()).toEqual({ role: 'owner', owner: guest.pid })
  expect(await ids(guest)).toEqual(['first', 'second'])
})

test('an owner that closes under load fails no statement', async () => {
  const members = Array.from({ length: 3 }, () => new Member())
  await members[0]!.sql(TABLE)
  await Promise.all(members.map((member) => member.do('load')))
  for (let round = 0; round < 5; round++) {
    await delay(200)
    const roles = await Promise.all(members.map(async (member) => (await member.who()).role))
    await members[roles.indexOf('owner')]!.do('reopen')
    await Promise.all(members.map((member) => member.sql('select 1')))
  }
  await Promise.all(members.map((member) => member.do('stopLoad')))
  await ownerOf(members)
  const rows = await ids(members[0]!)
  expect(members.flatMap(({ lost }) => lost)).toEqual([])
  expect(rows).toEqual(members.flatMap(({ done }) => done).sort())
})

test('a process killed while it makes the database leaves none behind that is half made', async () => {
  const first = new Member()
  const answer = first.sql('select 1')
  answer.catch(() => {})
  const making = join(directory, 'afterspan/data.new/global')
  await expect.poll(() => existsSync(making), { timeout: 30_000, interval: 5 }).toBe(true)
  await first.kill()
  const second = new Member()
  await second.sql(TABLE)
  expect(await ids(second)).toEqual([])
})

test('guests killed with statements on their way do not hold up the others', async () => {
  const owner = new Member()
  await owner.sql(TABLE)
  for (let round = 0; round < 5; round++) {
    const guest = new Member()
    await guest.do('load')
    await expect.poll(() => guest.done.length).toBeGreaterThan(10)
    await guest.kill()
    const rows = await ids(owner)
    expect(guest.done.filter((id) => !rows.includes(id))).toEqual([])
  }
})

test('a directory whose name is too long for a socket', async () => {
  const long = join(directory, 'x'.repeat(100), 'y'.repeat(100))
  mkdirSync(long, { recursive: true })
  let [owner, guest] = [new Member(long), new Member(long)]
  const address = () => JSON.parse(readFileSync(join(long, 'afterspan/address'), 'utf8')) as { socket: string }
  for (let round = 0; round < 2; round++) {
    await owner.sql(TABLE)
    await guest.sql('select 1')
    expect(await guest.who()).toEqual({ role: 'guest', owner: owner.pid })
    const { socket } = address()
    expect(statSync(socket).mode & 0o777).toBe(0o600)
    expect(statSync(join(socket, '..')).mode & 0o777).toBe(0o700)
    await owner.kill()
    await guest.sql('select 1')
    expect(existsSync(socket)).toBe(false)
    ;[owner, guest] = [guest, new Member(long)]
  }
  const { socket } = address()
  await owner.do('close')
  expect(existsSync(join(socket, '..'))).toBe(false)
})

test('notifications reach guests, and reach them again after the owner is gone', async () => {
  const [owner, listener] = [new Member(), new Member()]
  await owner.sql('select 1')
  const first = listener.do('notified')
  await listener.sql('select 1')
  await owner.sql("select pg_notify('news', 'one')")
  expect(await first).toBe('one')
  await owner.kill()
  // The listener sends nothing, and still finds a new owner, which may be itself.
  await expect.poll(async () => (await listener.who()).role, { timeout: 20_000 }).toBe('owner')
  const second = listener.do('notified')
  await listener.sql('select 1')
  await new Member().sql("select pg_notify('news', 'two')")
  expect(await second).toBe('two')
})

test('two processes send jobs through pg-boss, and fetch each once, though the owner is killed', {
  timeout: 60_000,
}, async () => {
  const [api, worker] = [new Member(), new Member()]
  await Promise.all([api.do('boss'), worker.do('boss')])
  await Promise.all([api.do('sendJobs', 40), worker.do('sendJobs', 40)])
  const owner = await ownerOf([api, worker])
  await owner.kill()
  const rest = owner === api ? worker : api
  const another = new Member()
  await another.do('boss')
  await another.do('sendJobs', 20)
  const got = await rest.do<string[]>('work', 100)
  expect(new Set(got).size).toBe(100)
  expect(got).toHaveLength(100)
})

describe('the election', () => {
  test('an owner that lost its lock without noticing stays the only one', async () => {
    const owner = new Member()
    await owner.sql(TABLE)
    // As if the kernel had dropped it: the file of the lock is another one now.
    rmSync(join(directory, 'afterspan/lock'))
    const guest = new Member()
    await guest.sql('select 1')
    expect(await guest.who()).toEqual({ role: 'guest', owner: owner.pid })
  })

  test('while a process has the lock, no other one gets it; when it is gone, one of many does', async () => {
    const place = placeOf(directory)
    const release = await takeLock(place)
    expect(release).toBeTypeOf('function')
    expect(await takeLock(place)).toBeUndefined()
    const members = Array.from({ length: 3 }, () => new Member())
    const answers = members.map((member) => member.sql('select 1'))
    await delay(1_000)
    expect(existsSync(join(directory, 'afterspan/data'))).toBe(false)
    release!()
    await Promise.all(answers)
    await ownerOf(members)
  })
})

test('a directory that is a database itself, or that cannot be one, is refused', async () => {
  writeFileSync(join(directory, 'PG_VERSION'), '18')
  expect(() => openEmbedded(directory)).toThrow('move its content')
  expect(() => openEmbedded(join(directory, 'PG_VERSION/x'))).toThrow(
    expect.objectContaining({ code: 'ERR_AFTERSPAN_ENGINE_REFUSED' }),
  )
  const broken = join(directory, 'broken')
  mkdirSync(join(broken, 'afterspan/data'), { recursive: true })
  writeFileSync(join(broken, 'afterspan/data/PG_VERSION'), '9')
  const member = new Member(broken)
  await expect(member.sql('select 1')).rejects.toThrow('ERR_AFTERSPAN_ENGINE_REFUSED')
})
