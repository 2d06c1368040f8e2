import { networkInterfaces } from 'node:os'
import type { DashboardOptions } from 'afterspan/dashboard'
import { createTestTasks } from 'afterspan/testing'
import express from 'express'
import { afterEach, expect, test, vi } from 'vitest'
import { dashboard } from '../../src/dashboard/dashboard.ts'
import { selfHealth } from '../../src/telemetry/self-health.ts'
import { EXPRESSES, request, serve, served, tokenOf } from './serving.ts'

afterEach(() => void vi.unstubAllEnvs())

const yes = { authorize: () => true }

test('with nothing said it answers on loopback', async () => {
  const { get } = await serve(createTestTasks())
  for (const path of ['', 'api/now', 'assets/main-abc123.js']) expect((await get(path)).status).toBe(200)
})

test('in production it is closed until authorize is given, and says what to write', async () => {
  vi.stubEnv('NODE_ENV', 'production')
  const { get } = await serve(createTestTasks())
  for (const path of ['', 'api/now', 'api/events', 'assets/main-abc123.js']) {
    const { status, text } = await get(path)
    expect(status).toBe(403)
    expect(text).toContain('dashboard(tasks, { authorize: (req) => isAdmin(req) })')
  }
  expect((await (await serve(createTestTasks(), yes)).get('')).status).toBe(200)
})

test.each([
  'localhost',
  'localhost:3000',
  'LOCALHOST',
  'app.localhost',
  '127.0.0.1',
  '127.1.2.3:80',
  '[::1]',
  '[::1]:8080',
])('Host "%s" is this machine', async (host) => {
  const { get } = await serve(createTestTasks())
  expect((await get('api/now', { host })).status).toBe(200)
})

test.each([
  'evil.example',
  'localhost.evil.example',
  'evil-localhost',
  '127.0.0.1.evil.example',
  '10.0.0.1',
  'localhost@evil.example',
  'localhost, evil.example',
  'localhost/evil',
  '[::2]',
  '127.0.0.1:port',
  '%%',
])('Host "%s" is not, whatever its address (DNS rebinding)', async (host) => {
  const { get } = await serve(createTestTasks())
  const { status, text } = await get('api/now', { host })
  expect([400, 403]).toContain(status)
  expect(text).not.toContain('ledger')
})

test.each(['x-forwarded-for', 'forwarded', 'via', 'x-real-ip', 'x-forwarded-host', 'x-forwarded-proto'])(
  'what has come through a proxy (%s) is not from this machine',
  async (header) => {
    const { get } = await serve(createTestTasks())
    expect((await get('api/now', { [header]: '127.0.0.1' })).status).toBe(403)
  },
)

const outside = Object.values(networkInterfaces())
  .flat()
  .find((address) => address !== undefined && !address.internal && address.family === 'IPv4')?.address

test.skipIf(outside === undefined)('a peer that is not on loopback is refused, whatever its headers say', async () => {
  const app = express()
  app.set('trust proxy', true)
  app.use('/tasks', dashboard(createTestTasks()))
  const server = await new Promise<import('node:http').Server>((resolve) => {
    const listening = app.listen(0, '0.0.0.0', () => resolve(listening))
  })
  try {
    const { port } = server.address() as { port: number }
    const answer = await request(port, 'GET', '/tasks/api/now', { host: 'localhost' }, outside)
    expect(answer.status).toBe(403)
  } finally {
    server.close()
    server.closeAllConnections()
  }
})

test.each([
  ['false', () => false],
  ['a promise of false', async () => false],
  ['something that is not true', () => ({ user: 'admin' }) as never],
  ['1', () => 1 as never],
  ['nothing', () => undefined as never],
])('authorize: %s is no', async (_, authorize) => {
  const { get } = await serve(createTestTasks(), { authorize })
  for (const path of ['', 'api/now', 'api/events', 'assets/main-abc123.js', 'nowhere']) {
    expect((await get(path)).status).toBe(403)
  }
})

test.each([
  [
    'throws',
    () => {
      throw new Error('no')
    },
  ],
  ['rejects', () => Promise.reject(null)],
])('authorize that %s is no, and counted', async (_, authorize) => {
  const { get } = await serve(createTestTasks(), { authorize: authorize as never })
  const before = selfHealth.count('afterspan.telemetry.caught', 'authorize')
  expect((await get('api/now')).status).toBe(403)
  expect(selfHealth.count('afterspan.telemetry.caught', 'authorize')).toBe(before + 1)
})

test('authorize sees the request of Express, and may take its time', async () => {
  const seen: string[] = []
  const authorize = async (req: { originalUrl?: string; headers: { cookie?: string } }) => {
    await new Promise((resolve) => setImmediate(resolve))
    seen.push(req.originalUrl!)
    return req.headers.cookie === 'admin=1'
  }
  const { get } = await serve(createTestTasks(), { authorize: authorize as never })
  expect((await get('api/now')).status).toBe(403)
  expect((await get('api/now', { cookie: 'admin=1' })).status).toBe(200)
  expect(seen).toEqual(['/tasks/api/now', '/tasks/api/now'])
})

test('with authorize any host will do, with allowedHosts only those', async () => {
  const open = await serve(createTestTasks(), yes)
  expect((await open.get('api/now', { host: 'admin.example.com' })).status).toBe(200)
  const narrow = await serve(createTestTasks(), { ...yes, allowedHosts: ['Admin.example.com', 'localhost:3000'] })
  expect((await narrow.get('api/now', { host: 'admin.example.com' })).status).toBe(200)
  expect((await narrow.get('api/now', { host: 'admin.example.com:8443' })).status).toBe(200)
  expect((await narrow.get('api/now', { host: 'localhost:3000' })).status).toBe(200)
  for (const host of ['localhost:3001', 'evil.example', 'x.admin.example.com']) {
    expect((await narrow.get('api/now', { host })).status).toBe(403)
  }
})

const OTHERS: [string, Record<string, string>][] = [
  ['another site', { 'sec-fetch-site': 'cross-site' }],
  ['a site next to it', { 'sec-fetch-site': 'same-site' }],
  ['another origin', { origin: 'http://evil.example' }],
  ['the same host on another port', { host: 'localhost:3000', origin: 'http://localhost:4000' }],
  ['a frame without an origin', { origin: 'null' }],
  ['a frame', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }],
  ['a link', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }],
]

test.each(OTHERS)('data asked for by %s is refused', async (_, headers) => {
  const { get } = await serve(createTestTasks(), yes)
  for (const path of ['api/now', 'api/traces', 'api/events', 'assets/main-abc123.js']) {
    expect((await get(path, headers)).status).toBe(403)
  }
})

test('another site may link to the page, and nothing else', async () => {
  const { get } = await serve(createTestTasks(), yes)
  for (const [name, headers] of OTHERS) expect((await get('', headers)).status).toBe(name === 'a link' ? 200 : 403)
})

test.each([
  ['the page', { 'sec-fetch-site': 'same-origin' }],
  ['the address bar', { 'sec-fetch-site': 'none' }],
  ['a program', {}],
  ['an older browser', { host: 'localhost:3000', origin: 'http://localhost:3000' }],
])('data asked for by %s is given', async (_, headers) => {
  const { get } = await serve(createTestTasks(), yes)
  expect((await get('api/now', headers)).status).toBe(200)
})

test('the headers of every answer, also of those that refuse', async () => {
  const { get } = await serve(createTestTasks(), { authorize: (req) => req.headers.cookie === 'yes' })
  const answers = [
    await get('', { cookie: 'yes' }),
    await get('api/now', { cookie: 'yes' }),
    await get('nowhere', { cookie: 'yes' }),
    await get('api/now'),
    await get('api/now', { host: '%%' }),
  ]
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 404, 403, 400])
  for (const { headers } of answers) {
    expect(headers['content-security-policy']).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'cross-origin-resource-policy': 'same-origin',
    })
    expect(headers).not.toHaveProperty('access-control-allow-origin')
  }
})

test('what the app has set for itself does not weaken them', async () => {
  const app = express()
  app.use((_req, res, next) => {
    res.setHeader('Content-Security-Policy', "default-src *; script-src * 'unsafe-inline'")
    res.setHeader('Cache-Control', 'public, max-age=600')
    next()
  })
  app.use('/tasks', dashboard(createTestTasks()))
  const { headers } = await (await served(app)).get('api/now')
  expect(headers['content-security-policy']).not.toContain('unsafe')
  expect(headers['cache-control']).toBe('no-store')
})

const ACTION = 'api/tasks/work/pause'
const OWN = { 'sec-fetch-site': 'same-origin' }

test('actions are off unless they are asked for', async () => {
  const tasks = createTestTasks()
  tasks.define('work', () => {})
  const served = await serve(tasks)
  const answer = await served.post(ACTION, { ...OWN, 'x-afterspan-csrf': await tokenOf(served) })
  expect(answer.status).toBe(403)
  expect(answer.text).toContain('actions: true')
  expect(tasks.snapshot().tasks[0]!.mode).toBe('running')
})

test.each<[string, number, Record<string, string>]>([
  ['with the token, from the page', 204, OWN],
  ['with the token, from an older browser', 204, { host: 'localhost:3000', origin: 'http://localhost:3000' }],
  ['behind a proxy with a name of its own', 204, { ...OWN, host: 'localhost', origin: 'https://admin.example.com' }],
  ['without the token', 403, { ...OWN, 'x-afterspan-csrf': '' }],
  ['with a wrong token', 403, { ...OWN, 'x-afterspan-csrf': 'A'.repeat(43) }],
  ['from another site', 403, { 'sec-fetch-site': 'cross-site' }],
  ['from a site next to it', 403, { 'sec-fetch-site': 'same-site' }],
  ['from the address bar', 403, { 'sec-fetch-site': 'none' }],
  ['from another origin', 403, { origin: 'http://evil.example' }],
  ['from no origin', 403, { origin: 'null' }],
  ['from who does not say where it is from', 403, {}],
])('an action %s: %i', async (_, status, headers) => {
  const tasks = createTestTasks()
  tasks.define('work', () => {})
  const served = await serve(tasks, { actions: true })
  const answer = await served.post(ACTION, { 'x-afterspan-csrf': await tokenOf(served), ...headers })
  expect(answer.status).toBe(status)
  expect(tasks.snapshot().tasks[0]!.mode).toBe(status === 204 ? 'paused' : 'running')
})

test('an action is asked of authorize as well', async () => {
  const tasks = createTestTasks()
  tasks.define('work', () => {})
  const served = await serve(tasks, { actions: true, authorize: (req) => req.method === 'GET' })
  expect((await served.post(ACTION, { ...OWN, 'x-afterspan-csrf': await tokenOf(served) })).status).toBe(403)
})

test('no other method does anything', async () => {
  const tasks = createTestTasks()
  tasks.define('work', () => {})
  const served = await serve(tasks, { actions: true })
  const token = { ...OWN, 'x-afterspan-csrf': await tokenOf(served) }
  expect((await served.get(ACTION, token)).status).toBe(404)
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS'])
    expect((await served.ask(method, ACTION, token)).status).toBe(405)
  expect((await served.post('', token)).status).toBe(405)
  expect(tasks.snapshot().tasks[0]!.mode).toBe('running')
})

for (const [name, create] of Object.entries(EXPRESSES)) {
  test(`${name}: without a slash it leads to the one with, relative, with the query`, async () => {
    const tasks = createTestTasks()
    const { ask } = await serve(tasks, undefined, { create })
    const { port } = await serve(tasks, undefined, { create })
    const bare = await request(port, 'GET', '/tasks?a=1')
    expect([bare.status, bare.headers.location]).toEqual([308, './tasks/?a=1'])
    expect((await ask('GET', '?a=1')).status).toBe(200)
  })

  test(`${name}: below a router, a path with a parameter, at the root, and for HEAD`, async () => {
    const app = create()
    const admin = create.Router({ mergeParams: true })
    const tasks = createTestTasks()
    admin.use('/work', dashboard(tasks))
    app.use('/:tenant/admin', admin)
    const below = await served(app, '/')
    expect((await below.get('acme/admin/work/api/now')).status).toBe(200)
    expect((await below.get('acme/admin/work')).headers.location).toBe('./work/')
    expect((await below.get('http:/admin/work')).headers.location).toBe('./work/')
    expect((await below.ask('HEAD', 'acme/admin/work/api/now')).text).toBe('')
    const root = create()
    root.use(dashboard(tasks))
    expect((await (await served(root, '/')).get('api/now')).status).toBe(200)
  })
}

test('the way to the slash never leads to another host', async () => {
  const app = express()
  app.use(/.*/, dashboard(createTestTasks()))
  const { get } = await served(app, '')
  for (const path of ['//evil.example', '/javascript:alert(1)', '/\\evil.example', '/%0d%0aSet-Cookie:a=b']) {
    const { headers } = await get(path)
    if (headers.location !== undefined) {
      const to = new URL(headers.location, `http://localhost:1234${path.replace(/^\/+/, '/')}`)
      expect(to.origin).toBe('http://localhost:1234')
    }
    expect(headers).not.toHaveProperty('set-cookie')
  }
})

test.each<[string, unknown, RegExp]>([
  ['an unknown one', { authorise: () => true }, /Unknown option `options.authorise`/],
  ['authorize', { authorize: true }, /`authorize` to be a function/],
  ['actions', { actions: 'yes' }, /`actions` to be true or false/],
  ['payloads', { payloads: 1 }, /`payloads` to be true or false/],
  ['traceUrl without a place', { traceUrl: 'http://jaeger/trace' }, /\{traceId\}/],
  ['traceUrl that is a script', { traceUrl: 'javascript:alert("{traceId}")' }, /http or https/],
  ['allowedHosts', { allowedHosts: ['https://a.example'] }, /`allowedHosts`/],
  ['no allowedHosts', { allowedHosts: [] }, /`allowedHosts`/],
  ['maxStreams', { maxStreams: 0 }, /`maxStreams` to be a whole number from 1/],
])('a wrong option says so at once: %s', (_, options, message) => {
  expect(() => dashboard(createTestTasks(), options as DashboardOptions)).toThrow(message)
})

test('authorize may be the app’s own function of a request of Express', async () => {
  const isAdmin = (req: express.Request): boolean => req.get('cookie') === 'admin=1'
  const app = express()
  app.use('/a', dashboard(createTestTasks(), { authorize: isAdmin }))
  app.use('/b', dashboard(createTestTasks(), { authorize: (req) => isAdmin(req) }))
  const { get } = await served(app, '/')
  for (const path of ['a/api/now', 'b/api/now']) {
    expect((await get(path)).status).toBe(403)
    expect((await get(path, { cookie: 'admin=1' })).status).toBe(200)
  }
})

test('it takes what createTasks returned', () => {
  for (const wrong of [undefined, null, {}, 'tasks']) {
    expect(() => dashboard(wrong as never)).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_TASKS' }))
  }
})
