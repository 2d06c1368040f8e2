/**
 * Makes the pictures of the page in `dashboard.md` and the README, from a running demo that has been up for a quarter of an hour:
 *
 *   PORT=8080 npm run demo -- --rate 6
 *   node docs/dashboard.ts http://127.0.0.1:8080/tasks/
 */
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { launchChromium, Tab } from '../test/integration/harness/browser.ts'

const [url = 'http://127.0.0.1:8080/tasks/'] = process.argv.slice(2)
const HERE = fileURLToPath(new URL('.', import.meta.url))
const LOOK = { colorScheme: 'light', reducedMotion: 'reduce', deviceScaleFactor: 1.5, timezoneId: 'UTC' } as const

const browser = await launchChromium()
try {
  const tab = await Tab.open(browser, url, { ...LOOK, viewport: { width: 1366, height: 700 } })
  await tab.shows(['thumbnail', 'filter', 'encode-avif'])
  await picture(tab.page, 'dashboard.png')

  // An upload whose work was tried again: all that a waterfall has to tell.
  await tab.goto(`${url}#/traces?${new URLSearchParams({ error: 'EBUSY' })}`)
  await tab.page.locator('a.row-link').nth(2).click()
  await tab.shows(['backoff', 'EBUSY'], 'main', 10_000)
  await picture(tab.page, 'dashboard-trace.png')
} finally {
  await browser.close()
}

async function picture(page: Page, file: string): Promise<void> {
  await page.waitForLoadState('networkidle').catch(() => {})
  const taken = await page.screenshot()
  await sharp(taken).png({ palette: true, colours: 128, effort: 10 }).toFile(`${HERE}${file}`)
  console.log(`docs/${file}`)
}
