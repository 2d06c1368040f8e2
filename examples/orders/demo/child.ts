import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Accounts, Life, type OutcomeCounts } from './accounts.ts'

export type Role = 'api' | 'worker'

const START_WITHIN = 60_000
const KEPT_LINES = 30
const LEDGER =
  /afterspan: closed; \d+ deferred.* = (\d+) completed, (\d+) failed, (\d+) cancelled, (\d+) dropped, (\d+) handed off(.*)/

/** How a process ended. */
export type Ending = 'kill -9' | 'SIGTERM' | 'by itself'

/** One of the two processes, from its start to its end. */
export class Child {
  readonly role: Role
  readonly nth: number
  readonly life = new Life()
  readonly url: string
  /** undefined while it runs. */
  ending: Ending | undefined
  /** What it says of itself at an end in order; undefined where it has not, or not in balance. */
  ledger: OutcomeCounts | undefined
  readonly #process: ChildProcess
  readonly #closed: Promise<unknown>
  readonly #lines: string[]
  #asked: Ending | undefined

  /** Resolves when it listens. */
  static async start(role: Role, nth: number, env: NodeJS.ProcessEnv, read: ReadLine): Promise<Child> {
    const child = fork(fileURLToPath(new URL(`../${role}.ts`, import.meta.url)), {
      execArgv: ['--import', 'afterspan/register'],
      env: { ...env, OTEL_SERVICE_NAME: `orders-${role}` },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Ctrl-C goes to all processes of the terminal; the demo ends these two itself, in order.
      detached: true,
    })
    const lines: string[] = []
    const failed = once(child, 'close').then(() => {
      throw new Error(`orders-${role} ended before it listened:\n${lines.join('\n')}`)
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        child.kill('SIGKILL')
        reject(new Error(`orders-${role} does not listen after ${START_WITHIN / 1000} s:\n${lines.join('\n')}`))
      }, START_WITHIN)
    })
    let started: Child | undefined
    const before: string[] = []
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        if (lines.length > KEPT_LINES) lines.shift()
        if (started === undefined) before.push(line)
        else started.#read(line, read)
      })
    }
    const [message] = (await Promise.race([once(child, 'message'), failed, late])) as [{ url: string }]
    clearTimeout(timer)
    failed.catch(() => {})
    late.catch(() => {})
    started = new Child(role, nth, message.url, child, lines)
    for (const line of before) started.#read(line, read)
    return started
  }

  private constructor(role: Role, nth: number, url: string, child: ChildProcess, lines: string[]) {
    this.role = role
    this.nth = nth
    this.url = url
    this.#process = child
    this.#lines = lines
    // Not "exit": what it has written comes before "close".
    this.#closed = once(child, 'close').then(() => {
      this.ending = this.#asked ?? 'by itself'
    })
  }

  get name(): string {
    return `orders-${this.role} ${this.nth}`
  }

  get pid(): number {
    return this.#process.pid!
  }

  /** The last it wrote. */
  get output(): string {
    return this.#lines.join('\n')
  }

  /** Resolves when it is gone and all is read that it has written. */
  async end(how: 'kill -9' | 'SIGTERM'): Promise<void> {
    if (this.ending === undefined) {
      this.#asked ??= how
      this.#process.kill(how === 'kill -9' ? 'SIGKILL' : how)
    }
    await this.#closed
  }

  #read(line: string, read: ReadLine): void {
    const [, completed, failed, cancelled, dropped, handedOff, rest] = LEDGER.exec(line) ?? []
    if (rest !== undefined && !rest.includes('OUT OF BALANCE')) {
      const counts = { completed, failed, cancelled, dropped, handed_off: handedOff }
      this.ledger = Object.fromEntries(Object.entries(counts).map(([k, v]) => [k, Number(v)])) as OutcomeCounts
    }
    read(this, line)
  }
}

export type ReadLine = (child: Child, line: string) => void

/** Puts what the processes log into the accounts, and on to `log`. */
export function reader(accounts: Accounts, log: (text: string) => void): ReadLine {
  return (child, line) => {
    accounts.read(child.life, line)
    log(`${child.name}  ${line}`)
  }
}
