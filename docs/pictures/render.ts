/** Draws a Grafana dashboard from its JSON and a live Prometheus: see README.md. */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chromium } from 'playwright-core'
import sharp from 'sharp'
import { build, preview } from 'vite'
import type { Dashboard, Drawn, Order, Panel } from './page/model.ts'

const USAGE = `Usage: node render.ts --dashboard FILE.json --prometheus URL --out FILE.png [options]

  --dashboard <file>    repeat it for several pictures
  --out <path>          the picture, or the folder for pictures named as the dashboards' files
  --from, --to <time>   as in Grafana's URL (the dashboard's own)
  --var <name=value>    a variable's value; repeat it for several; $__all for all (what Grafana would choose)
  --interval <time>     the data source's scrape interval (15s)
  --theme <theme>       dark or light (dark)
  --width <px>          of the page (1280)
  --scale <n>           device pixels per pixel (1)
  --chromium <path>     (/usr/bin/chromium)
  --no-build            take the page as it was built before`

const here = dirname(fileURLToPath(import.meta.url))
const config = join(here, 'vite.config.ts')

function readOptions() {
  const { values } = parseArgs({
    allowNegative: true,
    options: {
      dashboard: { type: 'string', multiple: true, default: [] },
      prometheus: { type: 'string' },
      out: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      var: { type: 'string', multiple: true, default: [] },
      interval: { type: 'string', default: '15s' },
      theme: { type: 'string', default: 'dark' },
      width: { type: 'string', default: '1280' },
      scale: { type: 'string', default: '1' },
      chromium: { type: 'string', default: '/usr/bin/chromium' },
      build: { type: 'boolean', default: true },
      help: { type: 'boolean', default: false },
    },
  })
  const { dashboard, prometheus, out } = values
  if (values.help || dashboard.length === 0 || !prometheus || !out) {
    console.log(USAGE)
    process.exit(values.help ? 0 : 2)
  }
  return { ...values, dashboard, prometheus, out }
}

type Settings = ReturnType<typeof readOptions>

function variables(given: readonly string[]): Record<string, string[]> {
  const values: Record<string, string[]> = {}
  for (const one of given) {
    const [name = '', ...rest] = one.split('=')
    values[name] = [...(values[name] ?? []), rest.join('=')]
  }
  return values
}

async function order(file: string, settings: Settings): Promise<Order> {
  const dashboard = JSON.parse(await readFile(file, 'utf8')) as Dashboard
  return {
    dashboard,
    from: settings.from ?? dashboard.time?.from ?? 'now-1h',
    to: settings.to ?? dashboard.time?.to ?? 'now',
    now: Date.now(),
    variables: variables(settings.var),
    theme: settings.theme === 'light' ? 'light' : 'dark',
    interval: settings.interval,
    width: Number(settings.width),
  }
}

function outOf(file: string, { out }: Settings): string {
  return out.endsWith('.png') ? out : join(out, `${basename(file, '.json')}.png`)
}

function freePort(): Promise<number> {
  const server = createServer()
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

async function serve(prometheus: string) {
  const port = await freePort()
  const proxy = { '/prometheus': { target: prometheus, rewrite: (path: string) => path.slice('/prometheus'.length) } }
  const server = await preview({ configFile: config, preview: { host: '127.0.0.1', port, strictPort: true, proxy } })
  return { url: `http://127.0.0.1:${port}/`, close: () => server.close() }
}

function bottom({ gridPos }: Panel): number {
  return gridPos.y + gridPos.h
}

async function shoot(url: string, file: string, settings: Settings): Promise<Drawn[]> {
  const browser = await chromium.launch({ executablePath: settings.chromium, args: ['--no-sandbox'] })
  try {
    const given = await order(file, settings)
    const page = await browser.newPage({
      // Tables draw only rows within the window: it is as high as the page.
      viewport: { width: given.width, height: 200 + 38 * Math.max(...given.dashboard.panels.map(bottom)) },
      deviceScaleFactor: Number(settings.scale),
      locale: 'en-US',
      timezoneId: 'UTC',
      colorScheme: settings.theme === 'light' ? 'light' : 'dark',
    })
    page.on('pageerror', (error) => console.error(`page: ${error.message}`))
    page.on('console', (message) => message.type() === 'error' && console.error(`console: ${message.text()}`))
    await page.addInitScript((value) => {
      window.order = value
    }, given)
    await page.goto(url)
    await page.waitForFunction(() => window.drawn !== undefined, undefined, { timeout: 60_000 })
    const picture = await page.locator('main').screenshot()
    // 256 colours: a third of the size, and hardly to be seen.
    await sharp(picture).png({ palette: true, quality: 95, effort: 10 }).toFile(outOf(file, settings))
    return (await page.evaluate(() => window.drawn)) ?? []
  } finally {
    await browser.close()
  }
}

const settings = readOptions()
if (settings.build) await build({ configFile: config })
const server = await serve(settings.prometheus)
try {
  for (const file of settings.dashboard) {
    console.log(outOf(file, settings))
    for (const { title, type, rows, error } of await shoot(server.url, file, settings)) {
      console.log(`  ${error ? 'error' : rows > 0 ? 'drawn' : 'empty'}  ${type}  ${title}${error ? `: ${error}` : ''}`)
      if (error) process.exitCode = 1
    }
  }
} finally {
  await server.close()
}
