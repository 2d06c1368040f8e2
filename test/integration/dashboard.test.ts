import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { parseMetrics, type Sample, sum } from '../../examples/image-service/demo/metrics-text.ts'
import { cutOff } from '../../examples/image-service/demo/pictures.ts'
import type { ImageStatus } from '../../examples/image-service/images.ts'
import { until } from './harness/backends.ts'
import { describeWithChromium, launchChromium, seriousFindings, Tab } from './harness/browser.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const APP = fileURLToPath(new URL('fixtures/dashboard-app.ts', import.meta.url))
const PASSWORD = 'correct horse'
const shots = process.env.AFTERSPAN_SCREENSHOTS || join(tmpdir(), 'afterspan-screenshots')

/** Of Node 22, on which the profiler needs it. */
const CONTEXT_FRAME = process.versions.node.startsWith('22.') ? ['--experimental-async-context-frame'] : []

/** The image service with its page, under `register`, with every span sampled and none sent. */
class App {
  static async start(options: object = {}, env: NodeJS.ProcessEnv = {}): Promise<App> {
    const directory = await mkdtemp(join(tmpdir(), 'dashboard-test-'))
    const child = fork(APP, [JSON.stringify({ concurrency: 2, page: {}, ...options })], {
      cwd: ROOT,
      execArgv: [...CONTEXT_FRAME, '--import', 'afterspan/register'],
      env: {
        ...process.env,
        NODE_ENV: 'test',
        OTEL_TRACES_EXPORTER: 'none',
        OTEL_SERVICE_NAME: 'image-service',
        TMPDIR: directory,
        ...env,
      },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const [{ url }] = (await once(child, 'message')) as [{ url: string }]
    return new App(child, url, directory)
  }

  readonly url: string
  readonly #child: ChildProcess
  readonly #directory: string

  private constructor(child: ChildProcess, url: string, directory: string) {
    this.#child = child
    this.url = url
    this.#directory = directory
  }

  async tell(message: { do: string; [key: string]: unknown }): Promise<void> {
    const answered = once(this.#child, 'message')
    this.#child.send(message)
    await answered
  }

  /** Uploads an image, and returns its id. */
  async upload(kind: string, file = jpeg): Promise<string> {
    const form = new FormData()
    form.set('kind', kind)
    form.set('image', new Blob([Uint8Array.from(file)]), 'picture.jpg')
    const response = await fetch(`${this.url}/images`, { method: 'POST', body: form })
    expect(response.status).toBe(202)
    return ((await response.json()) as { id: string }).id
  }

  async status(id: string): Promise<ImageStatus> {
    return (await (await fetch(`${this.url}/images/${id}`)).json()) as ImageStatus
  }

  until(id: string, status: ImageStatus['status']): Promise<ImageStatus> {
    return until(`image ${id} to be ${status}`, 20_000, async () => {
      const image = await this.status(id)
      return image.status === status ? image : undefined
    })
  }

  async metrics(): Promise<(name: string, labels?: Record<string, string>) => number> {
    const samples: readonly Sample[] = parseMetrics(await (await fetch(`${this.url}/metrics`)).text())
    return (name, labels = {}) => sum(samples, name, labels) ?? 0
  }

  async stop(): Promise<void> {
    const exit = once(this.#child, 'exit')
    this.#child.disconnect()
    expect(await exit).toEqual([0, null])
    await rm(this.#directory, { recursive: true, force: true })
  }
}

let jpeg: Buffer

describeWithChromium('the page over the image service', () => {
  let browser: Browser
  let app: App
  let tab: Tab | undefined

  beforeAll(async () => {
    mkdirSync(shots, { recursive: true })
    jpeg = await sharp({ create: { width: 400, height: 300, channels: 3, background: '#36c' } })
      .jpeg()
      .toBuffer()
    browser = await launchChromium()
  })
  afterAll(() => browser.close())
  afterEach(async () => {
    const complaints = tab?.complaints ?? []
    await tab?.close()
    tab = undefined
    await app.stop()
    expect(complaints).toEqual([])
  })

  const open = async (hash = '', options = {}) => {
    tab = await Tab.open(browser, `${app.url}/tasks/${hash}`, options)
    return tab.page
  }
  const goto = (hash: string) => tab!.goto(`${app.url}/tasks/${hash}`)

  /** A cell of a task's row on *Now*. */
  const cell = async (page: Page, task: string, head: string): Promise<string> =>
    (await page.locator('table.tasks tbody tr', { hasText: task }).locator(`td[data-head="${head}"]`).textContent())!

  /** A figure of *Task*. */
  const figure = async (page: Page, title: string): Promise<string> =>
    (await page.locator('dl.figures > div', { hasText: title }).locator('dd').textContent())!

  test('shows on each screen the numbers that /metrics has', { timeout: 60_000 }, async () => {
    app = await App.start()
    const uploaded: string[] = []
    for (let n = 0; n < 6; n++) uploaded.push(await app.upload('thumbnail'))
    for (let n = 0; n < 2; n++) uploaded.push(await app.upload('filter'))
    for (const id of uploaded) await app.until(id, 'done')
    for (let n = 0; n < 3; n++) await app.until(await app.upload('thumbnail', brokenImage()), 'failed')
    await app.tell({ do: 'hold' })
    const held = [await app.upload('thumbnail'), await app.upload('thumbnail')]
    for (const id of held) await app.until(id, 'running')
    for (let n = 0; n < 4; n++) held.push(await app.upload('filter'))

    const page = await open()
    await tab!.shows(['thumbnail', 'filter', 'encode-avif', '2 of 2'])
    const metric = await app.metrics()
    const finished = (task_name: string, task_outcome: string) =>
      metric('afterspan_task_finished_total', { task_name, task_outcome })
    expect(finished('thumbnail', 'completed')).toBe(6)
    expect(finished('thumbnail', 'failed')).toBe(3)
    const running = (task_name: string) => metric('afterspan_task_pending', { task_name, task_state: 'running' })
    const waiting = (task_name: string) => metric('afterspan_task_pending', { task_name }) - running(task_name)
    expect([running('thumbnail'), waiting('filter')]).toEqual([2, 4])

    await until('the figures', 3_000, async () => (await cell(page, 'filter', 'Waiting')) === '4' || undefined)
    for (const task of ['thumbnail', 'filter', 'encode-avif']) {
      expect(await cell(page, task, 'Running')).toBe(String(running(task)))
      expect(await cell(page, task, 'Waiting')).toBe(String(waiting(task)))
      const failed = finished(task, 'failed')
      const share = failed / (finished(task, 'completed') + failed)
      const shown = failed > 0 ? `${(share * 100).toFixed(1)} %${failed}` : Number.isNaN(share) ? /^[–-]|^$/ : '0 %'
      expect(await cell(page, task, 'Failed')).toMatch(typeof shown === 'string' ? new RegExp(`^${shown}$`) : shown)
    }

    await goto('#/tasks/thumbnail')
    await tab!.shows(['Errors, last 15 min', 'premature end', 'attempts', '3'])
    expect(await figure(page, 'Failed')).toBe('33.3 % (3)')
    expect(await figure(page, 'Retries')).toBe(
      String(metric('afterspan_task_retries_total', { task_name: 'thumbnail' })),
    )
    // The durations by the service's own account, which has them to the ms, of the attempts that this page lists.
    const attempts = await page.locator('section[aria-label="Latest attempts"] tbody tr').count()
    expect(attempts).toBe(metric('afterspan_task_duration_seconds_count', { task_name: 'thumbnail' }))

    await goto('#/queue/filter')
    await tab!.shows(['Waiting 4'])
    expect(await page.locator('.virtual tbody tr.row, .virtual tbody tr[data-key]').count()).toBeLessThanOrEqual(4)

    await goto('#/telemetry')
    const deferred = metric('afterspan_task_deferred_total')
    await tab!.shows(['balances', new RegExp(`\\b${deferred} deferred`), /\b8 completed/, /\b3 failed/])
    await app.tell({ do: 'release' })
    for (const id of held) await app.until(id, 'done')
    const after = await app.metrics()
    const completed = after('afterspan_task_finished_total', { task_outcome: 'completed' })
    await tab!.shows(['balances', new RegExp(`\\b${completed} completed`)], 'main', 8_000)
  })

  test('shows a failure within 2 s, and leads to the trace of the upload', { timeout: 60_000 }, async () => {
    app = await App.start()
    await app.until(await app.upload('thumbnail'), 'done')
    const page = await open()
    await tab!.shows(['Nothing failed in the last 5 minutes.'])
    await app.tell({ do: 'break', code: 'EROFS' })
    const id = await app.upload('filter')
    const failedAt = Date.parse((await app.until(id, 'failed')).finishedAt!)
    await tab!.shows(['filter', '100 % failed, 1 in 5 min'], 'main', 2_000)
    const took = Date.now() - failedAt
    expect(took).toBeLessThan(2_000)
    expect(await page.title()).toBe('1 failing · Now · Afterspan')

    // From the row to the task, from its error to the trace of the request that asked for it.
    await page.locator('table.tasks a.row-link', { hasText: 'filter' }).click()
    await tab!.shows(['EROFS: broken by the test'])
    await page.locator('.failed-tasks a', { hasText: 'trace' }).click()
    await tab!.shows(['POST /images', 'task filter', '1 failed', 'EROFS: broken by the test', 'response over after'])
    const { traceId } = await app.status(id)
    expect(page.url()).toContain(`#/traces/${traceId}`)

    // Found again by each thing that one may know of it.
    for (const search of [`trace=${traceId!.slice(0, 12)}`, 'task=filter', 'error=erofs', 'route=%2Fimages&failed=1']) {
      await goto(`#/traces?${search}`)
      await page.locator('a.row-link', { hasText: 'POST /images' }).click()
      await tab!.shows(['task filter', 'EROFS'])
      expect(page.url()).toContain(`#/traces/${traceId}`)
    }
    // What goes well is there as well, and is another one.
    await goto('#/traces?task=thumbnail')
    await page.locator('a.row-link', { hasText: 'POST /images' }).click()
    await tab!.shows(['task thumbnail', 'waited'])
    expect(await tab!.text()).not.toContain('EROFS')
  })

  test('pauses, cancels, resumes and retries, and the service says the same', { timeout: 60_000 }, async () => {
    app = await App.start()
    const page = await open()
    await tab!.shows(['encode-avif'])
    const confirm = async (button: string, yes: string, said: string) => {
      await page.getByRole('button', { name: button }).first().click()
      await page.locator('dialog[open]').getByRole('button', { name: yes }).click()
      await tab!.shows([said], '.announcements')
    }
    await confirm('Pause filter', 'Pause', 'filter is paused.')
    const kept = await app.upload('filter')
    const cancelled = await app.upload('filter')
    await app.until(await app.upload('thumbnail'), 'done')
    expect((await app.status(kept)).status).toBe('queued')
    await goto('#/queue/filter')
    await tab!.shows(['Waiting 2', 'paused'])
    const taskId = (await app.status(cancelled)).task!.id
    await confirm(`Cancel ${taskId}`, 'Cancel', 'is cancelled.')
    expect((await app.until(cancelled, 'failed')).attempts).toEqual([])
    await goto('')
    await confirm('Resume filter', 'Resume', 'filter runs again.')
    await app.until(kept, 'done')

    await app.tell({ do: 'break', code: 'ENOSPC' })
    const failing = await app.until(await app.upload('thumbnail'), 'failed')
    await app.tell({ do: 'mend' })
    await goto('#/tasks/thumbnail')
    const before = (await app.metrics())('afterspan_task_finished_total', {
      task_name: 'thumbnail',
      task_outcome: 'completed',
    })
    await confirm(`Retry ${failing.task!.id}`, 'Retry', 'is deferred again.')
    await until('the retry', 10_000, async () => {
      const metric = await app.metrics()
      const done = metric('afterspan_task_finished_total', { task_name: 'thumbnail', task_outcome: 'completed' })
      return done === before + 1 || undefined
    })
    await app.until(failing.id, 'done')
    expect((await fetch(`${app.url}/images/${failing.id}/result`)).headers.get('content-type')).toMatch(/^image\//)
  })

  test('shows what held the event loop, its profile, and work that is no task', { timeout: 60_000 }, async () => {
    app = await App.start()
    await app.tell({ do: 'crunch', milliseconds: 60, count: 8 })
    await app.tell({ do: 'crunch', milliseconds: 400 })
    await fetch(`${app.url}/images/undeclared`)
    const page = await open()
    await tab!.shows(['Who blocks it', 'crunch', 'countPrimes'], 'main', 10_000)
    await goto('#/profile/crunch')
    await tab!.shows(['countPrimes', 'dashboard-app.ts', 'on the event loop', /\d samples/])
    const share = await page
      .locator('table.top tbody tr', { hasText: 'countPrimes' })
      .locator('td')
      .nth(1)
      .textContent()
    // All but nothing is shown as "> 99.9 %".
    expect(Number.parseFloat(share!.replace(/^> /, ''))).toBeGreaterThan(80)
    // The attempt that took longer than `slow` allows has a profile of its own.
    await goto('#/tasks/crunch')
    await page.locator('section[aria-label="Slowest attempts"] a', { hasText: 'profile' }).first().click()
    await tab!.shows(['one attempt', 'countPrimes'])
    await goto('#/undeclared')
    await tab!.shows(['GET', '/images/:id', 'in the handler of /images/:id'], 'main', 10_000)
  })

  test('has no serious finding of axe-core on any screen with live data', { timeout: 120_000 }, async () => {
    app = await App.start()
    await app.until(await app.upload('thumbnail'), 'done')
    const failed = await app.until(await app.upload('thumbnail', brokenImage()), 'failed')
    await app.tell({ do: 'crunch', milliseconds: 200, count: 3 })
    await fetch(`${app.url}/images/undeclared`)
    await app.tell({ do: 'hold' })
    for (let n = 0; n < 6; n++) await app.upload('filter')
    const { traceId } = failed
    const screens: [name: string, hash: string, text: string][] = [
      ['now', '', 'thumbnail'],
      ['task', '#/tasks/thumbnail', 'premature end'],
      ['traces', '#/traces', 'POST /images'],
      ['trace', `#/traces/${traceId}`, 'task thumbnail'],
      ['profile', '#/profile/crunch', 'countPrimes'],
      ['undeclared', '#/undeclared', '/images/:id'],
      ['queue', '#/queue/filter', 'Waiting'],
      ['telemetry', '#/telemetry', 'balances'],
    ]
    const findings: string[] = []
    for (const [look, options] of [
      ['desktop-light', { colorScheme: 'light', reducedMotion: 'reduce' }],
      ['phone-dark', { colorScheme: 'dark', viewport: { width: 360, height: 740 }, reducedMotion: 'reduce' }],
    ] as const) {
      const page = await open('', options)
      for (const [name, hash, text] of screens) {
        await goto(hash)
        await tab!.shows([text], 'main', 10_000)
        await page.screenshot({ path: join(shots, `live-${name}-${look}.png`) })
        for (const finding of await seriousFindings(page)) findings.push(`${name}, ${look}: ${finding}`)
        const overflow = await page.evaluate(
          'document.documentElement.scrollWidth - document.documentElement.clientWidth',
        )
        if ((overflow as number) > 0) findings.push(`${name}, ${look}: wider than the screen by ${overflow} px`)
      }
      expect(tab!.complaints).toEqual([])
      await tab!.close()
    }
    tab = undefined
    expect(findings).toEqual([])
    await app.tell({ do: 'release' })
  })

  test('is closed to other sites and to whoever has no password, and its headers are strict', async () => {
    app = await App.start(
      { page: { password: PASSWORD, jaegerUrl: 'http://localhost:16686/' } },
      { NODE_ENV: 'production' },
    )
    const asked = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
      fetch(`${app.url}/tasks/${path}`, { method, headers, redirect: 'manual' })
    const basic = { authorization: `Basic ${Buffer.from(`anybody:${PASSWORD}`).toString('base64')}` }
    const wrong = { authorization: `Basic ${Buffer.from('anybody:correct').toString('base64')}` }
    for (const headers of [{}, wrong]) {
      const refused = await asked('', headers)
      expect(refused.status).toBe(401)
      expect(refused.headers.get('www-authenticate')).toContain('Basic')
      expect(await refused.text()).toBe('')
    }
    const page = await asked('', basic)
    expect(page.status).toBe(200)
    const { headers } = page
    const policy = headers.get('content-security-policy')!
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('x-frame-options')).toBe('DENY')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
    expect(headers.get('cache-control')).toBe('no-store')
    const csrf = /"csrf":"([\w-]+)"/.exec(await page.text())![1]!
    const pause = 'api/tasks/filter/pause'
    expect((await asked(pause, basic, 'POST')).status).toBe(403)
    expect((await asked(pause, { ...basic, 'x-afterspan-csrf': 'guess' }, 'POST')).status).toBe(403)
    const token = { ...basic, 'x-afterspan-csrf': csrf }
    expect((await asked(pause, { ...token, origin: 'http://evil.example' }, 'POST')).status).toBe(403)
    expect((await asked(pause, { ...token, 'sec-fetch-site': 'cross-site' }, 'POST')).status).toBe(403)
    expect((await asked('api/now', { ...basic, origin: 'http://evil.example' })).status).toBe(403)
    // Nor may a client act that says nothing of where the request is from.
    expect((await asked(pause, token, 'POST')).status).toBe(403)
    expect((await asked(pause, { ...token, origin: app.url }, 'POST')).status).toBe(204)

    // The same in a browser, which sends the password with each of the page's own requests.
    await open('', { httpCredentials: { username: 'anybody', password: PASSWORD } })
    await tab!.shows(['filter', 'paused'])
    await app.upload('thumbnail')
    await goto('#/traces')
    await tab!.page.locator('a.row-link', { hasText: 'POST /images' }).click()
    const jaeger = await tab!.page.getByRole('link', { name: 'open in Jaeger' }).getAttribute('href')
    expect(jaeger).toMatch(/^http:\/\/localhost:16686\/trace\/[0-9a-f]{32}$/)
  })

  test('without a password is closed in production, and says why', async () => {
    app = await App.start({}, { NODE_ENV: 'production' })
    const refused = await fetch(`${app.url}/tasks/`)
    expect(refused.status).toBe(403)
    expect(await refused.text()).toContain('authorize: (req) => isAdmin(req)')
  })
})

/** Its header is right, so it is accepted; its task fails. */
function brokenImage(): Buffer {
  return cutOff({ name: '', type: '', data: jpeg }).data
}
