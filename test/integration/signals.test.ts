import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'

const fixture = fileURLToPath(new URL('./fixtures/signals-app.mjs', import.meta.url))
let app: ChildProcess | undefined
afterEach(() => app?.kill('SIGKILL'))

async function start(options: object) {
  const child = fork(fixture, [JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  app = child
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (chunk) => {
      output += chunk
    })
  }
  const exited = once(child, 'close').then(() => ({ code: child.exitCode, signal: child.signalCode, output }))
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return { child, exited, url: `http://127.0.0.1:${port}` }
}

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test('lets accepted work finish within the grace, cancels what cannot start in it, and ends the process by that signal', async () => {
    const { child, exited } = await start({ quick: 6, late: 2 })
    child.kill(signal)
    expect(await exited).toEqual({
      code: null,
      signal,
      output: 'afterspan: closed; 8 deferred = 6 completed, 0 failed, 2 cancelled, 0 dropped, 0 handed off\n',
    })
  })
})

test('idle, it ends at once', async () => {
  const { child, exited } = await start({})
  child.kill('SIGTERM')
  expect(await exited).toMatchObject({ signal: 'SIGTERM', output: expect.stringContaining('0 deferred') })
})

test('after the grace what still runs is cancelled, and said to be running', async () => {
  const { child, exited } = await start({ stuck: 3, grace: 100 })
  child.kill('SIGTERM')
  const { signal, output } = await exited
  expect(signal).toBe('SIGTERM')
  expect(output).toContain(
    '3 deferred = 0 completed, 0 failed, 3 cancelled, 0 dropped, 0 handed off; 2 handlers still running',
  )
})

test('a second signal does not wait for the grace', async () => {
  const { child, exited } = await start({ stuck: 1, grace: 600_000 })
  child.kill('SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 100))
  child.kill('SIGTERM')
  expect(await exited).toMatchObject({ signal: 'SIGTERM', output: expect.stringContaining('1 cancelled') })
})

test('while accepted work goes on, a request that was being answered may still defer, and a new one may not', async () => {
  const { child, exited, url } = await start({ quick: 30 })
  const answered = fetch(url)
  await once(child, 'message')
  child.kill('SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 50))
  const statuses = await Promise.all([answered, fetch(url)].map(async (response) => (await response).status))
  expect(statuses).toEqual([200, 200])
  expect((await exited).output).toContain(
    'closed; 32 deferred = 31 completed, 0 failed, 0 cancelled, 1 dropped, 0 handed off',
  )
})

test('an app that listens as well decides on the end of the process', async () => {
  const { child, exited } = await start({ quick: 2, own: true })
  child.kill('SIGTERM')
  const { code, output } = await exited
  expect(code).toBe(7)
  expect(output).toContain('2 deferred = 2 completed')
  expect(output).toContain('own 2')
})

test('a process that exits with unfinished tasks says how many are lost', async () => {
  const { exited } = await start({ stuck: 3, late: 1, exit: true })
  const { code, output } = await exited
  expect(code).toBe(3)
  expect(output).toContain('afterspan: the process exits with unfinished tasks, which are lost; 4 deferred')
  expect(output).toContain('4 unfinished')
})
