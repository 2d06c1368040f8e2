import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HealthReport } from 'afterspan/express'
import { parseMetrics, sum } from '../../image-service/demo/metrics-text.ts'
import { Screen } from '../../image-service/demo/screen.ts'
import type { Line } from '../../image-service/demo/table.ts'
import type { Totals } from '../orders.ts'
import { Accounts, type OutcomeCounts } from './accounts.ts'
import { Child, type Role, reader } from './child.ts'
import { Collector } from './collector.ts'
import { Customers } from './customers.ts'
import { checkTable, processTable, summary } from './report.ts'
import { sweep } from './sweep.ts'
import { type Evidence, isRight, TASKS, verify } from './verify.ts'
import { interest, isWhole, rowsOf, waterfall } from './waterfall.ts'

export interface DemoOptions {
  /** Stop sending after so many seconds, check, and end. Default: go on. */
  readonly once: number | undefined
  /** Orders per second. */
  readonly rate: number
  /** Print what both processes log. */
  readonly log: boolean
}

/** Without `once`, the worker is killed and the API started anew after so many seconds. */
const EVENTS_IN = 15
/** How long no worker is there, ms. */
const WITHOUT_WORKER = 1_000
/** How long the last tasks may take, ms: the lock of a killed worker runs out in it. */
const SETTLE = 45_000
/** The engine says every 10 s what it holds, ms. */
const HOLDS_WITHIN = 25_000
/** How many attempts must run when the worker is killed. */
const MIDST = 2
const REDRAW = 500
const REPRINT = 5_000
/** A signal's exit code, as shells count it. */
const INTERRUPTED = 130

/** Runs the demo; resolves to its exit code. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const screen = new Screen()
  const data = await mkdtemp(join(tmpdir(), 'orders-demo-'))
  const collector = await Collector.start(process.env)
  const env = {
    ...process.env,
    PORT: '0',
    HOST: '127.0.0.1',
    ORDERS_DATA: data,
    // Of this run alone, also in a server that others use.
    ORDERS_QUEUE: `orders_demo_${randomBytes(4).toString('hex')}`,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces`,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
    // Before the worker is killed, not long after.
    OTEL_BSP_SCHEDULE_DELAY: '200',
  }
  const demo = new Demo(options, screen, collector, env)
  try {
    return await demo.run()
  } catch (error) {
    screen.print([{ text: error instanceof Error ? error.message : String(error), style: 'red' }])
    return 1
  } finally {
    await demo.end()
    screen.end()
    await collector.close()
    await sweep(env).catch((error) => screen.print(`What the demo left in the queue is still there: ${error}`))
    await rm(data, { recursive: true, force: true })
  }
}

class Demo {
  readonly #options: DemoOptions
  readonly #screen: Screen
  readonly #collector: Collector
  readonly #env: NodeJS.ProcessEnv
  readonly #started = performance.now()
  readonly #accounts = new Accounts()
  readonly #children: Child[] = []
  readonly #interrupted = new AbortController()
  #phase = 'starting'

  constructor(options: DemoOptions, screen: Screen, collector: Collector, env: NodeJS.ProcessEnv) {
    this.#options = options
    this.#screen = screen
    this.#collector = collector
    this.#env = env
  }

  async run(): Promise<number> {
    const { once, rate } = this.#options
    const { signal } = this.#interrupted
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => this.#interrupt())
    this.#screen.print(`Starting both processes; the queue is ${this.#queue()}.`)
    // The worker first: who comes first opens the embedded queue, and works for the others.
    await this.#start('worker')
    const { url } = await this.#start('api')
    this.#introduce()
    const customers = new Customers(url, rate)
    const redraw = this.#redraw(customers)
    try {
      this.#phase = 'sending'
      let sending = true
      const sent = customers.send().finally(() => {
        sending = false
      })
      const followed = customers.follow(() => sending && !signal.aborted)
      const third = (once ?? EVENTS_IN) * 333
      const story = this.#story(third)
      await Promise.race([story, followed])
      await story
      if (once === undefined) await this.#interruption()
      customers.stop()
      if (once !== undefined && signal.aborted) return INTERRUPTED
      await sent
      this.#phase = 'settling'
      await Promise.race([followed, sleep(SETTLE, undefined, { ref: false })])
      const evidence = await this.#ask(customers)
      redraw.stop()
      return this.#conclude(customers, await evidence())
    } finally {
      customers.stop()
      redraw.stop()
    }
  }

  /** Ends what still runs. */
  async end(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.end('SIGTERM')))
  }

  /** The worker is killed in the midst of its work and comes back; then the API ends in order and comes back. */
  async #story(third: number): Promise<void> {
    const { signal } = this.#interrupted
    const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {})
    await pause(third)
    if (signal.aborted) return
    await this.#killWorker()
    await pause(WITHOUT_WORKER)
    await this.#start('worker')
    this.#tell('the worker is back')
    await pause(third - WITHOUT_WORKER)
    if (signal.aborted) return
    const api = this.#living('api')
    this.#tell('SIGTERM to the API: it answers what it has begun, and ends')
    await api.end('SIGTERM')
    await this.#start('api', new URL(api.url).port)
    this.#tell('the API is back')
    await pause(third)
  }

  async #killWorker(): Promise<void> {
    const worker = this.#living('worker')
    const { life } = worker
    const deadline = performance.now() + 5_000
    while (life.running.size < MIDST && performance.now() < deadline) await sleep(2)
    await worker.end('kill -9')
    this.#accounts.killed(life)
    this.#tell(`kill -9 to the worker: ${life.running.size} attempts ran in it`)
  }

  async #start(role: Role, port = '0'): Promise<Child> {
    const nth = this.#children.filter((child) => child.role === role).length + 1
    const log = (text: string) => (this.#options.log ? this.#screen.print(text) : undefined)
    const child = await Child.start(role, nth, { ...this.#env, PORT: port }, reader(this.#accounts, log))
    this.#children.push(child)
    return child
  }

  #living(role: Role): Child {
    const child = this.#children.findLast((one) => one.role === role)!
    if (child.ending === undefined) return child
    throw new Error(`${child.name} has ended ${child.ending}:\n${child.output}`)
  }

  /** What everybody says; those that live are asked first, and then end in order. */
  async #ask({ accepted, right, due, turnedAway, rejected, surprises }: Customers): Promise<() => Promise<Evidence>> {
    const living = [this.#living('worker'), this.#living('api')]
    const seen = { accepted, right, due, turnedAway, rejected, surprises }
    const failed = accepted.declined + accepted.unpaid
    const holds = await this.#holds(living[0]!.url, failed)
    const totals = (await (await fetch(`${living[1]!.url}/orders`)).json()) as Totals
    const metrics = new Map<Child, OutcomeCounts>()
    for (const child of living) metrics.set(child, await outcomesOf(child.url))
    return async () => {
      await this.end()
      const accounts = Object.fromEntries(TASKS.map((name) => [name, this.#accounts.account(name)]))
      return {
        seen,
        totals,
        accounts: accounts as Evidence['accounts'],
        twice: this.#accounts.twice,
        interrupted: this.#accounts.interrupted,
        runAgain: this.#accounts.runAgain,
        statements: this.#children.map((child) => ({
          name: child.name,
          log: child.life.counts,
          metrics: metrics.get(child),
          ledger: child.ledger,
          killed: child.ending === 'kill -9',
        })),
        holds,
      }
    }
  }

  /** Once the engine has been asked again since the last task ended. */
  async #holds(url: string, failed: number): Promise<Evidence['holds']> {
    const deadline = performance.now() + HOLDS_WITHIN
    for (;;) {
      const { engines } = (await (await fetch(`${url}/health/tasks`)).json()) as HealthReport
      const holds = Object.fromEntries(
        TASKS.map((name) => [name, engines.find(({ task }) => task === name)?.holds ?? null]),
      ) as Evidence['holds']
      const all = Object.values(holds)
      const unfinished = all.some((held) => held === null || held.waiting + held.delayed + held.active > 0)
      const right = !unfinished && holds['charge-card']?.failed === failed
      if (right || performance.now() > deadline) return holds
      await sleep(250)
    }
  }

  #conclude(customers: Customers, evidence: Evidence): number {
    const checks = verify(evidence)
    const wrong = checks.filter((check) => !isRight(check)).length
    this.#screen.end()
    this.#screen.print('', ...processTable(this.#children, this.#accounts), '', ...checkTable(checks), '')
    for (const surprise of customers.surprises.slice(0, 10)) this.#screen.print([{ text: surprise, style: 'red' }])
    this.#showTrace(customers)
    this.#screen.print([
      wrong === 0
        ? { text: `All ${checks.length} figures are what was sent.`, style: 'green' }
        : { text: `${wrong} of ${checks.length} figures are wrong.`, style: 'red' },
    ])
    return wrong === 0 ? 0 : 1
  }

  /** The most eventful trace of those that can be followed to their end: spans that a killed worker had not sent are lost with it. */
  #showTrace({ traces }: Customers): void {
    const { spans, jaeger } = this.#collector
    const all = traces.map(({ traceId, order }) => ({ traceId, order, rows: rowsOf(spans, traceId) }))
    const best = all.filter(({ rows }) => isWhole(rows)).sort((a, b) => interest(b.rows) - interest(a.rows))[0]
    if (best === undefined) return
    const { traceId, order, rows } = best
    this.#screen.print(`One order, ${order}: ░ waits, █ runs`, '', ...waterfall(rows), '')
    if (jaeger === undefined) {
      this.#screen.print('With a Jaeger at its usual ports the traces would be there.', '')
    } else {
      this.#screen.print(`In Jaeger: ${jaeger}/trace/${traceId}; its links lead to the attempts.`, '')
    }
  }

  #queue(): string {
    const { REDIS_URL, DATABASE_URL } = this.#env
    if (REDIS_URL) return 'in Redis (BullMQ)'
    return DATABASE_URL ? 'in PostgreSQL (pg-boss)' : 'embedded (pg-boss in a directory)'
  }

  #introduce(): void {
    const [worker, api] = [this.#living('worker').url, this.#living('api').url]
    const line = (what: string, where: string, note: string): Line => [
      { text: what.padEnd(8), style: 'bold' },
      { text: where.padEnd(26), style: 'cyan' },
      { text: note, style: 'dim' },
    ]
    this.#screen.print(
      '',
      line('api', api, 'POST /orders, GET and DELETE /orders/:id, GET /orders, /health/tasks, /metrics'),
      line('worker', worker, '/health/tasks, /metrics; elsewhere when it is back'),
      line('traces', this.#collector.jaeger ?? 'nowhere', 'a Jaeger at its usual ports gets them'),
      '',
    )
  }

  #tell(what: string): void {
    const seconds = (performance.now() - this.#started) / 1000
    this.#screen.print([{ text: `${seconds.toFixed(1).padStart(5)} s  ` }, { text: what, style: 'yellow' }])
  }

  #interrupt(): void {
    if (this.#interrupted.signal.aborted) process.exit(INTERRUPTED)
    this.#screen.print('', 'The last orders may end; Ctrl-C again ends at once.')
    this.#interrupted.abort()
  }

  #interruption(): Promise<unknown> {
    const { signal } = this.#interrupted
    return signal.aborted
      ? Promise.resolve()
      : new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  }

  #redraw(customers: Customers): { stop: () => void } {
    const draw = () => {
      const elapsed = (performance.now() - this.#started) / 1000
      this.#screen.block(summary(elapsed, this.#phase, customers, this.#accounts))
    }
    const timer = setInterval(draw, this.#screen.live ? REDRAW : REPRINT)
    return { stop: () => clearInterval(timer) }
  }
}

/** By `/metrics`, over all tasks. */
async function outcomesOf(url: string): Promise<OutcomeCounts> {
  const samples = parseMetrics(await (await fetch(`${url}/metrics`)).text())
  const count = (outcome: string) =>
    sum(samples, 'afterspan_task_finished_total', { task_outcome: outcome }) ?? Number.NaN
  return {
    completed: count('completed'),
    failed: count('failed'),
    cancelled: count('cancelled'),
    dropped: count('dropped'),
    handed_off: count('handed_off'),
  }
}
