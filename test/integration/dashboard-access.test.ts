import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { HOSTILE_TRACE } from '../dashboard/ui/mock-hostile.ts'
import { MockServer } from '../dashboard/ui/mock-server.ts'
import { RECEIPT_TRACE } from '../dashboard/ui/mock-traces.ts'
import { until } from './harness/backends.ts'
import { describeWithChromium, launchChromium, seriousFindings, Tab } from './harness/browser.ts'

/** Each screen, and a text that is there when it is drawn. */
const SCREENS: readonly (readonly [name: string, hash: string, text: string])[] = [
  ['now', '', 'send-receipt'],
  ['task', '#/tasks/send-receipt', 'SmtpError'],
  ['traces', '#/traces', 'POST /orders'],
  ['trace', `#/traces/${RECEIPT_TRACE}`, 'exception.type'],
  ['queue', '#/queue', 'task_000000'],
  ['profile', '#/profile/make-thumbnail', 'encodeJpeg'],
  ['undeclared', '#/undeclared', 'postToCrm'],
  ['telemetry', '#/telemetry', 'balances'],
]
const SCHEMES = ['light', 'dark'] as const
const SIZES = { desktop: { width: 1366, height: 850 }, phone: { width: 360, height: 740 } }

const shots = process.env.AFTERSPAN_SCREENSHOTS || join(tmpdir(), 'afterspan-screenshots')

describeWithChromium('the page of the dashboard for everybody', () => {
  let browser: Browser
  let server: MockServer
  let tab: Tab

  beforeAll(async () => {
    mkdirSync(shots, { recursive: true })
    browser = await launchChromium()
  })
  afterAll(() => browser.close())
  beforeEach(async () => {
    server = await MockServer.start()
  })
  afterEach(async () => {
    await tab.close()
    await server.stop()
    expect(tab.complaints).toEqual([])
  })

  const open = async (hash = '', options = {}) => {
    tab = await Tab.open(browser, server.url + hash, options)
    return tab.page
  }

  for (const colorScheme of SCHEMES) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      test(`each screen has no serious finding of axe-core: ${size}, ${colorScheme}`, async () => {
        const page = await open('', { colorScheme, viewport, reducedMotion: 'reduce' })
        const findings: string[] = []
        for (const [name, hash, text] of SCREENS) {
          await tab.goto(server.url + hash)
          await tab.shows([text])
          await page.screenshot({ path: join(shots, `${name}-${size}-${colorScheme}.png`) })
          for (const finding of await seriousFindings(page)) findings.push(`${name}: ${finding}`)
        }
        expect(findings).toEqual([])
      })
    }
  }

  test.each(SCHEMES)(
    'nor has what is seldom seen: empty, hostile, stale, refused, dialogs, opened details (%s)',
    async (colorScheme) => {
      const page = await open('#/tasks/send-receipt', { colorScheme })
      const findings: string[] = []
      const look = async (what: string) => {
        for (const finding of await seriousFindings(page)) findings.push(`${what}: ${finding}`)
      }
      await tab.shows(['SmtpError'])
      for (const summary of await page.locator('summary').all()) await summary.click()
      await look('details')
      await page.getByRole('button', { name: 'Drain' }).click()
      await look('confirm')
      await page.keyboard.press('Escape')
      await page.keyboard.press('?')
      await look('help')
      for (const state of ['empty', 'hostile', 'healthy'] as const) {
        server.state = state
        await tab.goto(server.url)
        await tab.shows(['Health:'])
        await page.screenshot({ path: join(shots, `now-${state}-${colorScheme}.png`) })
        await look(state)
      }
      server.state = 'failing'
      server.streaming = false
      server.cut()
      server.problem = { status: 503, code: 'ERR', message: 'The process is shutting down.' }
      await tab.shows(['old'], '.banner', 10_000)
      await page.screenshot({ path: join(shots, `now-stale-${colorScheme}.png`) })
      await look('stale')
      await tab.goto(`${server.url}#/traces`)
      await tab.shows(['The process is shutting down.'])
      await look('refused')
      expect(tab.complaints.splice(0).filter((complaint) => !/Failed to load resource/.test(complaint))).toEqual([])
      expect(findings).toEqual([])
    },
  )

  test.each([320, 360, 768])('no screen is wider than a window of %i pixels', async (width) => {
    const page = await open('', { viewport: { width, height: 700 } })
    const wide: string[] = []
    const measure = async (name: string) => {
      const beyond = (await page.evaluate('document.documentElement.scrollWidth - innerWidth')) as number
      if (beyond > 0) wide.push(`${name}: ${beyond}`)
    }
    for (const [name, hash, text] of SCREENS) {
      await tab.goto(server.url + hash)
      await tab.shows([text])
      await measure(name)
    }
    server.state = 'hostile'
    await tab.goto(server.url)
    await tab.shows(['__proto__'])
    await measure('hostile now')
    await tab.goto(`${server.url}#/traces/${HOSTILE_TRACE}`)
    await tab.shows(['__proto__'])
    await measure('hostile trace')
    expect(wide).toEqual([])
  })

  test('is used with the keyboard alone: skip link, search, rows, dialogs, flame graph', async () => {
    const page = await open()
    await tab.shows(['send-receipt'])
    const focused = () => page.evaluate('document.activeElement.textContent') as Promise<string>
    const press = (...keys: string[]) =>
      keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve())

    await press('Tab')
    expect(await focused()).toBe('Skip to the content')
    expect(await page.locator('.skip').boundingBox()).toMatchObject({ y: 6 })
    await press('Enter')
    expect(await page.evaluate('document.activeElement.id')).toBe('content')
    expect(page.url()).not.toContain('#content')

    await press('/')
    await page.keyboard.type('send')
    await tab.shows(['send-receipt'])
    expect(await page.locator('table.tasks tbody tr').count()).toBe(1)
    for (let letters = 0; letters < 4; letters++) await press('Backspace')
    await press('Tab')
    expect(await focused()).toBe('send-receipt')
    const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')
    expect(outline).toBe('solid')
    await press('ArrowDown')
    expect(await focused()).toBe('make-thumbnail')
    await press('ArrowUp', 'Enter')
    await tab.shows(['34.2 % (127)'])
    expect(await page.evaluate('document.activeElement.id')).toBe('content')

    await press('?')
    await tab.shows(['from row to row'], 'dialog[open]')
    await press('Escape')
    expect(await page.locator('dialog[open]').count()).toBe(0)

    await page.getByRole('button', { name: 'Pause' }).focus()
    await press('Enter')
    expect(await page.evaluate(`document.querySelector('dialog[open]').contains(document.activeElement)`)).toBe(true)
    await press('Escape')
    expect(server.posted).toEqual([])

    await tab.goto(`${server.url}#/traces/${RECEIPT_TRACE}`)
    await tab.shows(['task send-receipt'], '.detail')
    await page.locator('.waterfall a[tabindex="0"]').focus()
    await press('ArrowDown')
    await tab.shows(['smtp.connect'], '.detail')

    await tab.goto(`${server.url}#/profile/make-thumbnail`)
    await tab.shows(['15.4 s of CPU'])
    await page.locator('.flame-graph g[tabindex="0"]').focus()
    await press('ArrowDown', 'ArrowDown', 'Enter')
    await tab.shows(['encodeJpeg (src/thumbnail.ts:41): 9.9 s (63.1 %)'], '.flame-current')
    expect(await page.locator('.frame.above').count()).toBe(2)
    await press('Escape')
    expect(await page.locator('.frame.above').count()).toBe(1)
  })

  test('the exact time stands by a relative one that is pointed at or whose row has the focus, in UTC or local', async () => {
    const page = await open('#/traces', { timezoneId: 'Asia/Kolkata' })
    await tab.shows(['41 s ago'])
    await page.locator('.virtual time').first().hover()
    await tab.shows([/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \+05:30$/], '.tip')
    await page.getByRole('button', { name: 'Times in local time' }).click()
    await page.locator('.virtual').focus()
    await page.keyboard.press('Tab')
    await tab.shows([/ UTC$/], '.tip')
    await tab.page.reload()
    await page.locator('.virtual time').first().hover()
    await tab.shows([/ UTC$/], '.tip')
  })

  test('is dark or light as the system is, and as the switch says from then on', async () => {
    const page = await open('', { colorScheme: 'dark' })
    const background = () => page.evaluate('getComputedStyle(document.documentElement).backgroundColor')
    await tab.shows(['send-receipt'])
    expect(await background()).toBe('rgb(16, 19, 23)')
    await page.emulateMedia({ colorScheme: 'light' })
    expect(await background()).toBe('rgb(255, 255, 255)')
    await page.getByRole('button', { name: /Colours/ }).click()
    expect(await background()).toBe('rgb(16, 19, 23)')
    await page.reload()
    await tab.shows(['send-receipt'])
    expect(await background()).toBe('rgb(16, 19, 23)')
  })

  test('charts and sparklines have their numbers in words and tables', async () => {
    const page = await open()
    await tab.shows(['send-receipt'])
    const words = await page.locator('.sparkline').first().getAttribute('aria-label')
    expect(words).toMatch(/^15 min: [\d,]+ completed, [\d,]+ failed, the last within 15 s$/)
    await tab.goto(`${server.url}#/tasks/send-receipt`)
    await page.locator('figure', { hasText: 'Waiting and running' }).locator('summary').click()
    await tab.shows(['waiting', 'running', '1,185'], '.chart table')
    expect(await page.locator('.chart table tbody tr').count()).toBe(60)
    expect(await page.locator('figure.chart canvas').count()).toBe(5)
  })

  test('rows of a list keep their places below the pointer as well, and follow again without it', async () => {
    const page = await open('#/queue/send-receipt')
    await tab.shows(['1,000 of 1,204 tasks loaded', 'as of'])
    await page.locator('.virtual tbody tr').nth(5).hover()
    server.change = (now) => ({ ...now, tasks: now.tasks.map((task) => ({ ...task, waiting: 7 })) })
    await tab.shows(['Waiting 7'])
    await page.waitForTimeout(2_200)
    await tab.shows(['task_00000i'])
    await page.mouse.move(400, 5)
    await tab.shows([/^7 tasks/], '.list-foot', 3_000)
    expect(await tab.text('.virtual')).not.toContain('task_00000i')
  })

  test('rows keep their places below the pointer', async () => {
    const page = await open()
    await tab.shows(['send-receipt'])
    const first = () => page.locator('table.tasks .row-link').first().textContent()
    await page.locator('table.tasks tbody tr').nth(2).hover()
    server.change = (now) => ({ ...now, at: now.at, tasks: now.tasks.toReversed() })
    await page.waitForTimeout(1_500)
    expect(await first()).toBe('send-receipt')
    await page.mouse.move(400, 5)
    await until('the new order', 2_500, async () => (await first()) === 'purge-sessions' || undefined)
  })
})
