import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { taskRow } from '../dashboard/ui/mock-data.ts'
import { HOSTILE_TRACE, LINES, LONG, SCRIPT } from '../dashboard/ui/mock-hostile.ts'
import { MockServer } from '../dashboard/ui/mock-server.ts'
import { HUGE_TRACE, RECEIPT_TRACE } from '../dashboard/ui/mock-traces.ts'
import { until } from './harness/backends.ts'
import { describeWithChromium, launchChromium, Tab } from './harness/browser.ts'

describeWithChromium('the page of the dashboard', () => {
  let browser: Browser
  let server: MockServer
  let tab: Tab
  /** Complaints that a test causes on purpose: the browser itself tells of answers that failed. */
  let expected: RegExp | undefined

  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser.close())
  beforeEach(async () => {
    expected = undefined
    server = await MockServer.start()
  })
  afterEach(async () => {
    await tab.close()
    await server.stop()
    expect(tab.complaints.filter((complaint) => !expected?.test(complaint))).toEqual([])
  })

  const open = async (hash = '', options = {}) => {
    tab = await Tab.open(browser, server.url + hash, options)
    return tab.page
  }
  const toEnd = (element: { scrollTop: number; scrollHeight: number }) => {
    element.scrollTop = element.scrollHeight
  }
  const unanswered = /Failed to load resource/

  test.each<[string, string, (string | RegExp)[]]>([
    [
      'Now',
      '',
      [
        'Failing now\n2',
        '34.2 % failed, 127 in 5 min',
        'oldest ready for 6 min 12 s',
        '14 of 16',
        '1,295 of 10,000',
        'holds back',
        '393 MiB of 2 GiB',
        '1,204',
        '6.2 min',
        '2.1 min',
        'encodeJpeg (src/thumbnail.ts:41)',
      ],
    ],
    [
      'Task',
      '#/tasks/send-receipt',
      [
        '1.24/s',
        '34.2 % (127)',
        '41 s · 2 min 7 s · 4 min 22 s',
        'SmtpError',
        '103',
        '451 4.3.0 Temporary server error',
        '29.9 s',
        'timeout',
        '30 s',
        'task_2bqa',
      ],
    ],
    ['Task over an hour', '#/tasks/send-receipt?range=3600', ['Errors, last hour']],
    ['Traces', '#/traces', ['POST /orders', '55.9 s', '5,000', '0af76519']],
    ['Traces searched', '#/traces?route=%2Freport%2F%3Aid&failed=1', ['GET /report/:id', '1 trace']],
    [
      'Trace',
      `#/traces/${RECEIPT_TRACE}`,
      [
        '2.65 s in all',
        '10 spans',
        '3 failed',
        '7 late',
        'response over after 182 ms',
        '2 spans not kept any more',
        'attempt 3',
        'linked trace',
        'exception.stacktrace',
      ],
    ],
    ['Queue', '#/queue/send-receipt', ['Waiting 1,204', 'task_000000', 'retrying', '1,000 of 1,204 tasks loaded']],
    [
      'Profile',
      '#/profile/make-thumbnail',
      ['15.7 s on the event loop', '15.4 s of CPU', '1,540 samples', 'encodeJpeg', '33.1 %'],
    ],
    [
      'Undeclared work',
      '#/undeclared',
      ['POST https://hooks.example.org/crm', '4,182', '21 min 51 s', 'req.defer(postToCrm, order)'],
    ],
    [
      'Telemetry health',
      '#/telemetry',
      ['collector unreachable', '1,920', 'balances', 'deferred 48,211', '18,211 spans of 2,903 traces'],
    ],
  ])('%s is reached by its address and shows the numbers of the server', async (_screen, hash, texts) => {
    await open(hash)
    await tab.shows(texts)
  })

  test('works below any path, and asks for nothing outside of it', async () => {
    await server.stop()
    server = await MockServer.start({ mount: '/ops/back%20ground/' })
    await open('#/tasks/send-receipt')
    await tab.shows(['34.2 % (127)'])
    expect(server.asked.filter((line) => !line.startsWith('GET /ops/back%20ground/'))).toEqual([])
  })

  test('a failure appears within 2 seconds, on the page and in the title, and a lost event shows nothing', async () => {
    server.state = 'healthy'
    const page = await open()
    await tab.shows(['Nothing failed in the last 5 minutes.', 'No limit is crossed.'])
    expect(await page.title()).toBe('ok · Now · Afterspan')
    const calm = await tab.text('body')
    server.push('lost')
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await tab.text('body')).toBe(calm)
    const failing = taskRow('charge-card', {
      failed: 7,
      failureRatio: 0.5,
      trouble: 0.9,
      reasons: ['half of them failed'],
    })
    server.change = (now) => ({ ...now, health: { status: 'unhealthy', reasons: [] }, tasks: [failing, ...now.tasks] })
    await tab.shows(['charge-card', '50 % failed, 7 in 5 min', 'half of them failed'], 'main', 2_000)
    expect(await page.title()).toBe('1 failing · Now · Afterspan')
    await tab.shows(['Health is now unhealthy.'], '[role=status]')
  })

  test('says how old its figures are when the connection is lost, keeps them, and comes back by itself', async () => {
    expected = unanswered
    await open()
    await tab.shows(['send-receipt'])
    server.dead = true
    server.cut()
    await tab.shows([/Connection lost.*\d s old.*Next try in \d s/s], '.banner', 8_000)
    await tab.shows(['34.2 % failed'])
    server.change = (now) => ({ ...now, tasks: [taskRow('after-the-break')] })
    server.dead = false
    await tab.shows(['after-the-break'], 'main', 12_000)
    expect(await tab.page.locator('.banner').count()).toBe(0)
    expect(server.streams).toBe(1)
  })

  test('asks from time to time where streams are refused, and tells nobody to worry', async () => {
    expected = unanswered
    server.streaming = false
    await open()
    await tab.shows(['34.2 % failed'])
    server.change = (now) => ({ ...now, tasks: [taskRow('asked-for')] })
    await tab.shows(['asked-for'], 'main', 5_000)
    expect(await tab.page.locator('.banner').count()).toBe(0)
    await tab.shows([/now|s ago/], '.state')
  })

  test.each([
    [403, 'You may not see this', 'Give authorize to dashboard().'],
    [503, 'The server does not answer questions now', 'The process is shutting down.'],
  ])('with %i tells why, and shows the figures as soon as it may', async (status, title, message) => {
    expected = unanswered
    server.problem = { status, code: 'ERR', message }
    await open()
    await tab.shows([title, message, 'Try now'])
    await tab.goto(`${server.url}#/telemetry`)
    await tab.shows([title, message])
    server.problem = null
    await tab.page.getByRole('button', { name: 'Try now' }).click()
    await tab.shows(['balances'])
  })

  test('of what is not there says so, and leads back', async () => {
    expected = unanswered
    await open('#/tasks/nobody')
    await tab.shows(['Not found', 'No task is called `nobody`.'])
    await tab.goto(`${server.url}#/traces/${'0'.repeat(32)}`)
    await tab.shows(['This trace is not kept, or never was.'])
    await tab.goto(`${server.url}#/nowhere`)
    await tab.shows(['This address leads to no screen.'])
  })

  test('a screen whose server stops answering keeps what it had, with its age', async () => {
    expected = unanswered
    await open('#/tasks/send-receipt')
    await tab.shows(['34.2 % (127)'])
    server.problem = { status: 503, code: 'ERR', message: 'Closing.' }
    await tab.shows(['does not answer questions now', /\d s old/, '34.2 % (127)'])
  })

  test('asks for nothing while nobody sees it, and at once when somebody does', async () => {
    const page = await open('#/queue/send-receipt')
    await tab.shows(['task_000000'])
    await page.evaluate(`Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' })
      document.dispatchEvent(new Event('visibilitychange'))`)
    await until('the stream to end', 1_000, async () => server.streams === 0 || undefined)
    const before = server.asked.length
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    expect(server.asked.slice(before)).toEqual([])
    await page.evaluate(`delete document.visibilityState; document.dispatchEvent(new Event('visibilitychange'))`)
    await until('the stream', 1_000, async () => server.streams === 1 || undefined)
    expect(server.asked.slice(before)).toContain('GET /tasks/api/tasks/send-receipt/waiting')
  })

  test('acts only when it is meant, with the token, and says what the server answered', async () => {
    expected = unanswered
    const page = await open()
    await page.getByRole('button', { name: 'Pause send-receipt' }).click()
    await tab.shows(['Pause send-receipt?', 'No attempt starts'], 'dialog[open]')
    await page.getByRole('button', { name: 'Leave it' }).click()
    expect(server.posted).toEqual([])
    await page.getByRole('button', { name: 'Pause send-receipt' }).click()
    await page.locator('dialog[open]').getByRole('button', { name: 'Pause' }).click()
    await tab.shows(['send-receipt is paused.'], '.announcements')
    await tab.goto(`${server.url}#/queue/send-receipt`)
    await page.getByRole('button', { name: 'Cancel task_000000' }).click()
    await page.locator('dialog[open]').getByRole('button', { name: 'Cancel' }).click()
    await tab.shows(['task_000000 is cancelled.'], '.announcements')
    await page.getByRole('button', { name: 'Failed' }).click()
    await page.getByRole('button', { name: 'Retry task_2bq9' }).click()
    await page.locator('dialog[open]').getByRole('button', { name: 'Retry' }).click()
    await tab.shows(['task_2bq9 is deferred again.'], '.announcements')
    expect(server.posted).toEqual(
      ['tasks/send-receipt/pause', 'waiting/task_000000/cancel', 'failed/task_2bq9/retry'].map((path) => ({
        path: `api/${path}`,
        csrf: 'csrf-token',
      })),
    )
    server.config = { ...server.config, csrf: 'another' }
    await page.getByRole('button', { name: 'Drain' }).click()
    await page.locator('dialog[open]').getByRole('button', { name: 'Drain' }).click()
    await tab.shows(['Actions are off.'], 'dialog[open]')
  })

  test('offers no action where actions are off', async () => {
    server.config = { ...server.config, actions: false, profiler: false, traceUrl: null }
    const page = await open()
    for (const hash of ['', '#/tasks/send-receipt', '#/queue/send-receipt', `#/traces/${RECEIPT_TRACE}`]) {
      await tab.goto(server.url + hash)
      await tab.shows(['send-receipt'])
      expect(await page.getByRole('button', { name: /Pause|Resume|Drain|Cancel|Retry/ }).count()).toBe(0)
      expect(await page.getByRole('link', { name: /Jaeger/ }).count()).toBe(0)
    }
    await tab.goto(`${server.url}#/profile`)
    await tab.shows(['The profiler is off.'])
  })

  test('of 10,000 waiting tasks and of 5,000 spans only those in sight are in the document', async () => {
    server.state = 'huge'
    const page = await open('#/queue/task-0000')
    await tab.shows(['task_000000', '1,000 of 10,000 tasks loaded'])
    const rows = () => page.locator('.virtual tr').count()
    expect(await rows()).toBeLessThan(80)
    for (
      let scrolls = 0;
      !(await tab.text()).includes('10,000 tasks') || (await tab.text()).includes('loaded');
      scrolls++
    ) {
      expect(scrolls).toBeLessThan(40)
      await page.locator('.virtual').evaluate(toEnd)
      await page.waitForTimeout(100)
    }
    await page.locator('.virtual').evaluate(toEnd)
    await tab.shows(['task_0007pr'], '.virtual tbody')
    expect(await rows()).toBeLessThan(80)
    await page.getByRole('button', { name: 'Show the latest' }).click()
    await tab.shows(['1,000 of 10,000 tasks loaded', 'and 900 more'])
    expect(await page.locator('*').count()).toBeLessThan(2_500)
    await page.keyboard.press('/')
    await page.keyboard.type('0777')
    await tab.shows([/^task-0777|fine\ntask-0777/], '.picker')
    expect(await page.locator('.picker a').count()).toBe(1)

    await tab.goto(`${server.url}#/traces/${HUGE_TRACE}?span=c4000`)
    await tab.shows(['task import-row 4000'], '.virtual tbody')
    expect(await rows()).toBeLessThan(80)
    expect(await page.locator('*').count()).toBeLessThan(2_500)

    await tab.goto(server.url)
    await tab.shows(['Show all 1,000 tasks'])
    expect(await page.locator('table.tasks tbody tr').count()).toBe(100)
    await page.keyboard.press('/')
    await page.keyboard.type('0777')
    await tab.shows(['task-0777'])
    expect(await page.locator('table.tasks tbody tr').count()).toBe(1)
    expect(page.url()).toContain('#/?filter=0777')
  })

  test('shows hostile names, errors and attributes as text', async () => {
    server.state = 'hostile'
    const page = await open()
    await tab.shows([
      SCRIPT,
      '__proto__',
      'constructor',
      'invoice‹U+202E›gpj.exe',
      'first↵Set-Cookie: owned=1↵↵last',
      'a/b?c#d%2f',
    ])
    for (const name of ['__proto__', 'a/b?c#d%2f', 'invoice‹U+202E›gpj.exe', 'half', '<script>']) {
      await tab.goto(server.url)
      await page.locator('table.tasks a.row-link', { hasText: name }).first().click()
      await tab.shows(['Errors, last 15 min', SCRIPT])
    }
    await page.getByRole('button', { name: 'show all (10,000,000 characters)' }).first().click()
    await until('ten million characters', 20_000, async () => {
      const length = await page
        .locator('.errors')
        .evaluate((element: { textContent: string }) => element.textContent.length)
      return (length as number) > LONG.length || undefined
    })
    await tab.goto(`${server.url}#/traces/${HOSTILE_TRACE}`)
    await tab.shows([SCRIPT, '__proto__', LINES.replaceAll('\r', ''), 'show all (10,000,000 characters)'], '.detail')
    expect(await page.evaluate('globalThis.owned')).toBeUndefined()
    expect(await page.locator('img, iframe, main script').count()).toBe(0)
    expect(await page.evaluate('Object.prototype.row')).toBeUndefined()
  })

  test('the empty app is told what to do', async () => {
    server.state = 'empty'
    await open()
    await tab.shows(['No task is defined yet.', 'tasks.define(name, handler)', 'No task held the event loop'])
    await tab.goto(`${server.url}#/traces`)
    await tab.shows(['No trace is kept yet.'])
    await tab.goto(`${server.url}#/undeclared`)
    await tab.shows(['None was seen.'])
    await tab.goto(`${server.url}#/queue`)
    await tab.shows(['No task is defined yet.'])
  })

  test('searches traces by what is typed, and a whole id leads to its trace', async () => {
    const page = await open('#/traces')
    await page.getByLabel('Task', { exact: true }).fill('write-audit-log')
    await page.getByLabel('failed only').check()
    await page.getByRole('button', { name: 'Search' }).click()
    await until(
      'the question',
      2_000,
      async () => server.asked.includes('GET /tasks/api/traces?task=write-audit-log&failed=1') || undefined,
    )
    expect(page.url()).toContain('#/traces?task=write-audit-log&failed=1')
    await page.getByLabel('Trace id').fill(RECEIPT_TRACE.toUpperCase())
    await page.keyboard.press('Enter')
    await tab.shows(['response over after 182 ms'])
    await page.goBack()
    await tab.shows(['GET /report/:id'])
  })

  test('a trace is read span by span, zoomed, and opened in Jaeger', async () => {
    const page = await open(`#/traces/${RECEIPT_TRACE}`)
    await tab.shows(['451 4.3.0'], '.detail')
    expect(await page.getByRole('link', { name: 'open in Jaeger' }).getAttribute('href')).toBe(
      `http://localhost:16686/trace/${RECEIPT_TRACE}`,
    )
    await page.getByRole('button', { name: 'copy trace id' }).click()
    await tab.shows(['Copied the trace id.'], '.announcements')
    await page.getByRole('link', { name: 'send webhooks' }).click()
    await tab.shows(['producer', 'messaging.system', 'bullmq'], '.detail')
    expect(page.url()).toContain('?span=s000000000000008')
    await page.locator('.detail').getByRole('button', { name: 'process webhooks' }).click()
    await tab.shows(['notify-webhook'], '.detail')
    await page.getByRole('button', { name: 'Zoom to the span' }).click()
    await page.getByRole('button', { name: 'Whole trace' }).click()
    expect(await page.locator('.waterfall rect.wait[fill="url(#hatch)"]').count()).toBeGreaterThanOrEqual(4)
    expect(await page.locator('.waterfall line.retry').count()).toBe(2)
  })
})
