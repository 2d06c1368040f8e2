import { readdir, writeFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { imbalance, type Logger } from 'afterspan'
import type { HealthReport } from 'afterspan/express'
import { createApp, type ImageService, type ImageServiceOptions } from '../app.ts'
import type { Save } from '../images.ts'
import { Driver } from './driver.ts'
import { seeded } from './random.ts'
import { report } from './report.ts'
import { Screen } from './screen.ts'
import { summary } from './summary.ts'
import type { Line } from './table.ts'
import { uploads } from './uploads.ts'
import { type Said, verify } from './verify.ts'

export interface DemoOptions {
  /** Stop sending after so many seconds, hold what the service says against what was sent, and end. Default: go on. */
  readonly once?: number | undefined
  /** The address to listen on; `0.0.0.0` in a container. Default: 127.0.0.1. */
  readonly host?: string | undefined
  /** 0: a free one. */
  readonly port: number
  /** Uploads per second, at most. */
  readonly rate: number
  readonly seed: number
  /** Print the line that the service logs for each attempt. */
  readonly log: boolean
  /** Options of the service; for tests of the demo. */
  readonly service?: ImageServiceOptions
}

const MAX_BYTES = 4_000_000
const MAX_PIXELS = 12_000_000
/** How long the last tasks may take, ms. */
const SETTLE = 120_000
const GRACE = 15_000
/** Between two drawings of the summary, ms: in place, and line by line. */
const REDRAW = 250
const REPRINT = 5_000
/** A signal's exit code, as shells count it. */
const INTERRUPTED = 130
const JAEGER = 'http://localhost:16686'
const LATEST = 5

/** Runs the demo; resolves to its exit code. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const screen = new Screen()
  try {
    return await new Demo(options, screen).run()
  } finally {
    screen.end()
  }
}

class Demo {
  readonly #options: DemoOptions
  readonly #screen: Screen
  readonly #started = performance.now()
  readonly #latest: string[] = []
  readonly #interrupted = new AbortController()
  readonly #retries = new Map<string, number>()
  #phase = 'starting'
  #requests: { at: number; count: number }[] = []

  constructor(options: DemoOptions, screen: Screen) {
    this.#options = options
    this.#screen = screen
  }

  async run(): Promise<number> {
    const { host = '127.0.0.1', port, rate, seed, once } = this.#options
    const random = seeded(seed)
    this.#screen.print('Painting pictures…')
    const next = await uploads(random, MAX_BYTES, MAX_PIXELS)
    const service = createApp({
      maxBytes: MAX_BYTES,
      maxPixels: MAX_PIXELS,
      log: (line) => this.#log(line),
      logger: this.#logger(),
      save: sometimesBusy((path, data) => writeFile(path, data)),
      ...this.#options.service,
    })
    service.tasks.on('retrying', ({ task }) => this.#retries.set(task, (this.#retries.get(task) ?? 0) + 1))
    const server = await listen(service, host, port)
    const reachable = host === '0.0.0.0' ? '127.0.0.1' : host
    const url = `http://${reachable}:${(server.address() as AddressInfo).port}`
    this.#introduce(url)
    const driver = new Driver(url, next, random, rate, once === undefined)
    const forgetSignals = this.#onSignals(driver)
    const redraw = this.#redraw(service, driver)
    try {
      this.#phase = 'sending'
      const sending = driver.send()
      const following = driver.follow(sending, this.#interrupted.signal)
      if (once !== undefined) {
        await sleep(once * 1000, undefined, { signal: this.#interrupted.signal }).catch(() => {})
        driver.stop()
      }
      await sending
      if (this.#interrupted.signal.aborted) {
        await following
        return await this.#end(service, once === undefined ? 0 : INTERRUPTED)
      }
      this.#phase = 'settling'
      await Promise.race([following, sleep(SETTLE, undefined, { ref: false })])
      redraw.stop()
      const good = await this.#verify(url, service, driver).catch((error) => {
        this.#screen.print([{ text: `What the service says cannot be checked. ${error}`, style: 'red' }])
        return false
      })
      return await this.#end(service, good ? 0 : 1)
    } finally {
      redraw.stop()
      forgetSignals()
      await service.close({ grace: 0 })
      server.close()
      server.closeAllConnections()
    }
  }

  #introduce(url: string): void {
    const line = (what: string, where: string, note: string): Line => [
      { text: what.padEnd(9), style: 'bold' },
      { text: where.padEnd(36), style: 'cyan' },
      { text: note, style: 'dim' },
    ]
    this.#screen.print(
      '',
      line('service', url, 'POST /images, GET /images/:id, GET /images/:id/result'),
      line('page', `${url}/tasks/`, 'what fails, what is stuck, each trace'),
      line('health', `${url}/health/tasks`, 'figures and a verdict, as JSON'),
      line('metrics', `${url}/metrics`, 'for Prometheus; OpenMetrics by Accept'),
      line('traces', JAEGER, 'if a Jaeger runs here, they are there'),
      '',
    )
  }

  /** What Afterspan says: the ledger, failures. In the live view the failures are in the block already. */
  #logger(): Logger {
    const print = (message: string) => this.#screen.print(message)
    return { info: print, warn: this.#screen.live ? () => {} : print, error: print }
  }

  #log(line: string): void {
    // Without the ids it fits on a line of the terminal.
    this.#latest.push(line.replaceAll(/ (?:image|task_id)=\S*/g, ''))
    if (this.#latest.length > LATEST) this.#latest.shift()
    if (this.#options.log) this.#screen.print(line)
  }

  /** The demo ends by itself, so it listens until the end: else Afterspan would raise the signal again. */
  #onSignals(driver: Driver): () => void {
    const stop = () => {
      if (this.#interrupted.signal.aborted) return
      this.#phase = 'ending'
      this.#screen.print(
        '',
        `Accepted work may take ${GRACE / 1000} s more; Ctrl-C again cancels it. Then the last traces are sent.`,
      )
      driver.stop()
      this.#interrupted.abort()
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
    return () => {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
    }
  }

  #redraw(service: ImageService, driver: Driver): { stop: () => void } {
    let told = 0
    const draw = () => {
      for (const surprise of driver.surprises.slice(told)) this.#screen.print([{ text: surprise, style: 'red' }])
      told = driver.surprises.length
      this.#screen.block(this.#lines(service, driver))
    }
    const timer = setInterval(draw, this.#screen.live ? REDRAW : REPRINT)
    return {
      stop: () => {
        if (timer.hasRef()) draw()
        clearInterval(timer.unref())
      },
    }
  }

  #lines(service: ImageService, driver: Driver): Line[] {
    const lines = summary({
      snapshot: service.tasks.snapshot(),
      driver,
      retries: this.#retries,
      elapsed: (performance.now() - this.#started) / 1000,
      requestsPerSecond: this.#requestsPerSecond(driver.requests),
      phase: this.#phase,
    })
    if (!this.#screen.live) return [...lines, []]
    return [...lines, [], ...this.#latest.map((line): Line => [{ text: line, style: 'dim' }])]
  }

  #requestsPerSecond(count: number): number {
    const at = performance.now()
    this.#requests.push({ at, count })
    this.#requests = this.#requests.filter((one, i, all) => i === all.length - 1 || one.at > at - 2 * REPRINT)
    const first = this.#requests[0]!
    return at === first.at ? (count * 1000) / (at - this.#started) : ((count - first.count) * 1000) / (at - first.at)
  }

  async #verify(url: string, service: ImageService, driver: Driver): Promise<boolean> {
    const checks = verify(driver, await ask(url, service))
    const wrong = checks.filter(({ ok }) => !ok).length
    this.#screen.end()
    this.#screen.print('', ...report(checks), '')
    const broken = [...driver.images.values()].find(({ final }) => final?.status === 'failed')?.final
    if (broken?.traceId !== undefined) {
      this.#screen.print(`A trace with a failed task, if a Jaeger runs here: ${JAEGER}/trace/${broken.traceId}`)
    }
    this.#screen.print([
      wrong === 0
        ? { text: `All ${checks.length} figures are what was sent.`, style: 'green' }
        : { text: `${wrong} of ${checks.length} figures are wrong.`, style: 'red' },
    ])
    return wrong === 0
  }

  /** Closes, by which Afterspan prints the ledger. */
  async #end(service: ImageService, code: number): Promise<number> {
    const ledger = await service.close({ grace: GRACE })
    this.#phase = 'ended'
    return imbalance(ledger) === 0 ? code : 1
  }
}

async function listen(service: ImageService, host: string, port: number): Promise<Server> {
  return await new Promise((resolve, reject) => {
    const server: Server = service.app.listen(port, host, (error) => (error ? reject(error) : resolve(server)))
  })
}

/** Asks the service, over HTTP, for what it says of itself. */
async function ask(url: string, service: ImageService): Promise<Said> {
  const metrics = async (accept: string) => {
    const response = await fetch(`${url}/metrics`, { headers: { accept } })
    return await response.text()
  }
  return {
    plain: await metrics('text/plain'),
    openMetrics: await metrics('application/openmetrics-text; version=1.0.0'),
    health: (await (await fetch(`${url}/health/tasks`)).json()) as HealthReport,
    uploadsLeft: (await readdir(join(service.directory, 'uploads'))).length,
  }
}

/** The demo's own trouble: each fifteenth result is refused once, as by a busy disk, so that there are retries to see. */
function sometimesBusy(save: Save): Save {
  let calls = 0
  return async (path, data) => {
    calls++
    if (calls % 15 === 3)
      throw Object.assign(new Error('EBUSY: resource busy (made up by the demo)'), { code: 'EBUSY' })
    await save(path, data)
  }
}
