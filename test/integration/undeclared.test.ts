import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { App, Collector } from './register-harness.ts'

let collector: Collector
let app: App

beforeEach(async () => {
  collector = await Collector.start()
})
afterEach(async () => {
  app.child.kill('SIGKILL')
  await collector.stop()
})

const start = async (env: Record<string, string> = {}) => {
  app = new App('test/integration/fixtures/undeclared-app.mjs', {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, ...env },
  })
  return (await app.message()).port
}

/** Over one connection, as browsers and proxies do. */
async function over(agent: Agent, port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent }, (res) => {
      let text = ''
      res.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      res.on('end', () => resolve(text))
    }).on('error', reject)
  })
}

test('register alone finds what an app does after its responses, and nothing else', async () => {
  const port = await start()
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const paths = ['/awaits/1', '/floats/1', '/begins', '/calls', '/streams', '/declared', '/slow']
  for (let round = 0; round < 5; round++) for (const path of paths) await over(agent, port, path)
  await sleep(400)
  const found = JSON.parse(await over(agent, port, '/figures')) as {
    route: string
    span: string
    count: number
    total: number
  }[]
  agent.destroy()
  expect(found.map(({ route, span, count }) => [route, span, count]).sort()).toEqual([
    ['/begins', 'begin later', 5],
    ['/calls', 'GET', 5],
    ['/floats/:id', 'float', 5],
  ])
  const float = found.find(({ span }) => span === 'float')!
  expect(float.total / 5).toBeGreaterThan(0.09)
  expect(float.total / 5).toBeLessThan(0.4)
  const lines = app.stderr.split('\n').filter((line) => line.includes('undeclared background work'))
  expect(lines).toHaveLength(3)
  expect(lines.join('\n')).toContain('"float" went on until')
})

test('a client that goes away makes no undeclared work of what its answer takes', async () => {
  const port = await start()
  const agent = new Agent()
  for (const path of ['/asks', '/streams']) {
    const request = get({ host: '127.0.0.1', port, path, agent }, (res) => res.resume().on('error', () => {}))
    request.on('error', () => {})
    await sleep(90)
    request.destroy()
  }
  await sleep(500)
  expect(JSON.parse(await over(agent, port, '/figures'))).toEqual([])
  expect(app.stderr).toBe('')
  // The same where the client stays.
  await over(agent, port, '/floats/1')
  await sleep(200)
  expect(JSON.parse(await over(agent, port, '/figures'))).toHaveLength(1)
  agent.destroy()
})

test('AFTERSPAN_UNDECLARED=false turns it off', async () => {
  const port = await start({ AFTERSPAN_UNDECLARED: 'false' })
  const agent = new Agent({ keepAlive: true })
  await over(agent, port, '/floats/1')
  await sleep(300)
  expect(JSON.parse(await over(agent, port, '/figures'))).toEqual([])
  agent.destroy()
  expect(app.stderr).toBe('')
})
