import { setTimeout as sleep } from 'node:timers/promises'
import { middleware } from 'afterspan/express'
import { createTestTasks, type TestTasks } from 'afterspan/testing'
import express from 'express'
import { afterEach, expect, test } from 'vitest'
import { listen, type TestServer } from './server.ts'

let server: TestServer | undefined
afterEach(() => server?.close())

async function counts(tasks: TestTasks): Promise<{ running: number; idle: number }> {
  const count = async (running: boolean) =>
    (await tasks.histogram('afterspan.request.duration', { 'background.running': running })).count
  return { running: await count(true), idle: await count(false) }
}

test('requests are told apart by whether a task ran meanwhile; errors and aborts are left out', async () => {
  const tasks = createTestTasks({ realTime: true })
  const work = tasks.define('work', () => sleep(100))
  const app = express()
  app.use(middleware(tasks), middleware(tasks))
  app.get('/fast', (_, res) => void res.send('ok'))
  app.get('/slow', (_, res) => void setTimeout(() => res.send('ok'), 60))
  app.get('/fails', (_, res) => void res.status(500).send('no'))
  app.get('/defers', (_, res) => {
    work.defer(undefined)
    res.send('ok')
  })
  server = await listen(app)
  const get = (path: string) => fetch(server!.url + path).then((response) => response.text())

  await get('/fast')
  await get('/fails')
  expect(await counts(tasks)).toEqual({ running: 0, idle: 1 })

  // Its own task starts after its response, which it cannot have slowed.
  await get('/defers')
  expect(await counts(tasks)).toEqual({ running: 0, idle: 2 })
  await get('/fast')
  expect(await counts(tasks)).toEqual({ running: 1, idle: 2 })
  await tasks.settled()

  // One that starts and ends in the middle of a request.
  const slow = get('/slow')
  await sleep(20)
  await tasks.defer('short', () => sleep(5)).outcome
  await slow
  expect(await counts(tasks)).toEqual({ running: 2, idle: 2 })

  const aborted = new AbortController()
  const left = fetch(`${server.url}/slow`, { signal: aborted.signal }).catch(() => {})
  await sleep(20)
  aborted.abort()
  await left
  await sleep(80)
  expect(await counts(tasks)).toEqual({ running: 2, idle: 2 })
  const { request } = tasks.snapshot().foreground
  expect([request.running.count, request.idle.count]).toEqual([2, 2])
  expect(request.running.max).toBeGreaterThanOrEqual(0.05)
  await tasks.close()
})
