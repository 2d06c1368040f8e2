import type { Outcome, Result } from 'afterspan'

export type OutcomeCounts = Record<Outcome, number>

/** What one life of a process has said in its log. */
export class Life {
  /** Of deferrals that have ended in it, by task. */
  readonly outcomes = new Map<string, OutcomeCounts>()
  /** Attempts that have begun and not ended: id and task. */
  readonly running = new Map<string, string>()
  /** Attempts that have ended, and of which it has not said that the queue knows. */
  readonly telling = new Map<string, { readonly task: string; readonly result: Result }>()
  taken = 0

  count(outcome: Outcome): number {
    return [...this.outcomes.values()].reduce((sum, counts) => sum + counts[outcome], 0)
  }

  /** Over all tasks. */
  get counts(): OutcomeCounts {
    const words = ['completed', 'failed', 'cancelled', 'dropped', 'handed_off'] as const
    return Object.fromEntries(words.map((outcome) => [outcome, this.count(outcome)])) as OutcomeCounts
  }
}

/** What has become of the tasks of one name, over all processes. */
export interface TaskAccount {
  /** The queue had it. */
  readonly accepted: number
  /** Of these, those of which no process could say so: it was killed, or had no answer from the queue. */
  readonly unsaid: number
  readonly completed: number
  readonly failed: number
  readonly cancelled: number
  /** Ended just as their worker was killed, so that no process has counted their outcome: how they ended. */
  readonly uncounted: { readonly completed: number; readonly failed: number }
  /** Not ended. */
  readonly open: number
}

type End = 'completed' | 'failed' | 'cancelled'

const LINE = /^event=(\w+) task=(\S+) task_id=(\S+)(?:.* (?:outcome|result)=(\w+))?/
/** How many ids of ended tasks are remembered. */
const REMEMBERED = 200_000

/** Adds up what the processes say in their logs, also those that were killed: the last line of those is in the pipe as well. */
export class Accounts {
  readonly #tasks = new Map<
    string,
    { said: number; unsaid: number; completed: number; failed: number; cancelled: number }
  >()
  /** Accepted and not ended: id and task. */
  readonly #open = new Map<string, string>()
  readonly #ended = new Set<string>()
  /** Known from who ran it alone. The line of who sent it may come later: they are two pipes. */
  readonly #unsaid = new Set<string>()
  /** What ran in a process when it was killed. */
  readonly #interrupted = new Set<string>()
  readonly #killed: Life[] = []
  /** Tasks with a second outcome. */
  twice = 0
  /** Attempts that ran when their process was killed, and of these those that were run again. */
  interrupted = 0
  runAgain = 0

  read(life: Life, line: string): void {
    const [, event, task, id, word] = LINE.exec(line) ?? []
    if (task === undefined || id === undefined) return
    if (event === 'started') this.#started(life, task, id)
    else if (event === 'ended') this.#attemptEnded(life, task, id, word as Result)
    else if (event === 'finished') this.#finished(life, task, id, word as Outcome)
  }

  /** The process of this life was killed. */
  killed(life: Life): void {
    this.#killed.push(life)
    this.interrupted += life.running.size
    for (const id of life.running.keys()) this.#interrupted.add(id)
  }

  get open(): number {
    return [...this.#open.keys()].filter((id) => this.#endedUnseen(id) === undefined).length
  }

  account(name: string): TaskAccount {
    const { said, unsaid, ...ended } = this.#of(name)
    const uncounted = { completed: 0, failed: 0 }
    let open = 0
    for (const [id, task] of this.#open) {
      if (task !== name) continue
      const result = this.#endedUnseen(id)
      if (result === undefined) open++
      else uncounted[result === 'ok' ? 'completed' : 'failed']++
    }
    return { accepted: said + unsaid, unsaid, ...ended, uncounted, open }
  }

  #of(task: string) {
    let account = this.#tasks.get(task)
    if (account === undefined) {
      account = { said: 0, unsaid: 0, completed: 0, failed: 0, cancelled: 0 }
      this.#tasks.set(task, account)
    }
    return account
  }

  /** It had ended in a process that was killed, and nobody has run it since. */
  #endedUnseen(id: string): Result | undefined {
    return this.#killed.map((life) => life.telling.get(id)?.result).find((result) => result !== undefined)
  }

  #started(life: Life, task: string, id: string): void {
    life.taken++
    life.running.set(id, task)
    life.telling.delete(id)
    for (const killed of this.#killed) killed.telling.delete(id)
    if (this.#interrupted.delete(id)) this.runAgain++
    this.#known(task, id, false)
  }

  #attemptEnded(life: Life, task: string, id: string, result: Result): void {
    life.running.delete(id)
    life.telling.set(id, { task, result })
  }

  #finished(life: Life, task: string, id: string, outcome: Outcome): void {
    life.telling.delete(id)
    let counts = life.outcomes.get(task)
    if (counts === undefined) {
      counts = { completed: 0, failed: 0, cancelled: 0, dropped: 0, handed_off: 0 }
      life.outcomes.set(task, counts)
    }
    counts[outcome]++
    if (outcome === 'handed_off') this.#known(task, id, true)
    // Taken out of the queue. Without having been accepted: an unfinished one had its key, or the queue gave no answer in time.
    else if (outcome === 'cancelled' && this.#open.has(id) && !this.#unsaid.has(id)) this.#end(task, id, outcome)
    else if (outcome === 'completed' || outcome === 'failed') this.#end(task, id, outcome)
  }

  #known(task: string, id: string, said: boolean): void {
    const account = this.#of(task)
    if (said && this.#unsaid.delete(id)) {
      account.unsaid--
      account.said++
      return
    }
    if (this.#open.has(id) || this.#ended.has(id)) return
    this.#open.set(id, task)
    if (said) account.said++
    else {
      account.unsaid++
      this.#unsaid.add(id)
    }
  }

  #end(task: string, id: string, outcome: End): void {
    this.#known(task, id, false)
    if (!this.#open.delete(id)) {
      this.twice++
      return
    }
    this.#of(task)[outcome]++
    this.#ended.add(id)
    if (this.#ended.size <= REMEMBERED) return
    const [oldest] = this.#ended
    this.#ended.delete(oldest!)
    this.#unsaid.delete(oldest!)
  }
}
