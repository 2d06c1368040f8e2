import { accessSync, constants, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { describe } from 'vitest'
import { until } from './backends.ts'

/** The browser's path: `AFTERSPAN_CHROMIUM`, or on `PATH`. */
export function findChromium(): string | undefined {
  const directories = (process.env.PATH ?? '').split(delimiter)
  const names = ['chromium', 'chromium-browser', 'google-chrome']
  const paths = names.flatMap((name) => directories.map((directory) => join(directory, name)))
  return [process.env.AFTERSPAN_CHROMIUM, ...paths].find((path) => {
    try {
      accessSync(path ?? '', constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** As `describeWith` for other programs: skipped with the reason on a machine without a browser, an error with `CI=true`. */
export function describeWithChromium(name: string, tests: () => void): void {
  if (findChromium() !== undefined) describe(name, tests)
  else if (process.env.CI === 'true') throw new Error(`"${name}" needs Chromium, and CI must have it.`)
  else describe.skip(`${name} (skipped: Chromium not installed; see .ci/run)`, tests)
}

export function launchChromium(): Promise<Browser> {
  const executablePath = findChromium()
  if (executablePath === undefined) throw new Error('Chromium is not installed. bash .ci/run installs it.')
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}

/** A tab, and all that a page must not do: errors in the console, violations of its policy, requests to other hosts. */
export class Tab {
  readonly page: Page
  readonly complaints: string[] = []

  private constructor(page: Page, own: string) {
    this.page = page
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.complaints.push(message.text())
    })
    page.on('pageerror', (error) => this.complaints.push(`thrown: ${error.stack}`))
    page.on('request', (request) => {
      const url = request.url()
      if (!url.startsWith(new URL(own).origin) && !url.startsWith('data:')) this.complaints.push(`asked ${url}`)
    })
  }

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Tab> {
    const context = await browser.newContext({ viewport: { width: 1366, height: 850 }, ...options })
    await context.addInitScript(`addEventListener('securitypolicyviolation', (event) => {
      console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI)
    })`)
    const tab = new Tab(await context.newPage(), url)
    await tab.page.goto(url)
    return tab
  }

  /** Goes where a link to `hash` would lead, in a page that is loaded anew. */
  async goto(url: string): Promise<void> {
    await this.page.goto('about:blank')
    await this.page.goto(url)
  }

  /** Waits until the text of `where` has all of these. */
  async shows(texts: readonly (string | RegExp)[], where = 'main', within = 5_000): Promise<void> {
    const missing = (text: string) =>
      texts.filter((one) => (typeof one === 'string' ? !text.includes(one) : !one.test(text)))
    let last = ''
    await until('the page', within, async () => {
      last = await this.text(where)
      return missing(last).length === 0 || undefined
    }).catch((error: Error) => {
      throw new Error(`${error.message} It lacks ${missing(last).join(' | ')}. It has:\n${last.slice(0, 4_000)}`)
    })
  }

  async text(where = 'main'): Promise<string> {
    const texts = await this.page.locator(where).allInnerTexts()
    return texts.join('\n')
  }

  async close(): Promise<void> {
    await this.page.context().close()
  }
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe-core finds of serious or critical impact, each with where it is. */
export async function seriousFindings(page: Page): Promise<string[]> {
  await page.evaluate(axe)
  const { violations } = (await page.evaluate(`axe.run(document, { resultTypes: ['violations'] })`)) as {
    violations: { id: string; impact: string | null; nodes: { target: unknown[]; failureSummary?: string }[] }[]
  }
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map((node) => `${node.target.join(' ')} (${node.failureSummary})`).join('; ')}`,
    )
}
