/**
 * When an attempt runs.
 *
 * A deferral is in one state at a time, and leaves through exactly one outcome:
 *
 *     defer ─┬─────────────────────────────────────────────→ dropped      queueLimit reached, or closed
 *            ├→ held ──trigger, maxHold──┐
 *            │                           ├→ delayed ──delay over──┐
 *            └───────────────────────────┴────────────────────────┴→ ready ──a slot is free──→ running
 *                                                                     ↑                          │
 *                                                                     └──backoff over── retrying ┤ error, timeout; attempts left
 *                                                                                                ├→ completed
 *                                                                                                └→ failed
 *     cancel leads from every state to cancelled.
 *
 * A job for an engine (`offer`) is ready from `defer` on, in no queue of ours, until the engine has it (handed_off) or has
 * refused it (dropped). What an engine gives to this process (`take`) runs at once, in no slot of ours, since its consumer has
 * its own limit. It leaves as completed, failed or cancelled, or is returned to the engine for another attempt, once the engine
 * has acknowledged it; until then it stays running, so that each outcome is counted once over all processes.
 *
 * - held: its request has not been answered. `trigger` fires once, at the end of the response; `maxHold` fires for it
 *   when that never comes.
 * - delayed, retrying: only time stands between it and readiness. It holds no slot.
 * - ready: it waits for a slot, in the order of `ReadyQueue`. Where a `Gate` holds back its priority, it waits for that too,
 *   and others of a priority that is admitted pass it. Gates are asked at each start, and say when to ask again.
 * - running: one attempt holds a slot of the scheduler and one of its task. An attempt ends when its handler settles, at its
 *   timeout, or when it is cancelled, whichever comes first. If the handler has not settled by then, the run remains as a
 *   zombie: it keeps both slots, since its work goes on, and what it returns or throws later changes nothing.
 *
 * Jobs of a batch task gather while they are ready, in a `Batch`: its first job has a timer for `maxWait`, and takes its place
 * in the ready queue when that is over or the batch is full. Then all of them run at once, in one slot and one call of the
 * handler; each has its own attempt and outcome, and those that fail gather anew. A batch whose attempts have all ended
 * before its handler has settled is one zombie.
 *
 * Of a task that is paused nothing starts: what is ready stays so. When the scheduler stops or drains, what waits of it is
 * cancelled, since it could never start.
 *
 * Each state has at most one timer, so a job has one place in one heap of timers. Every operation is O(log n) or better.
 */

import type { Clock } from '../model/clock.ts'
import { AfterspanError, CancelledError, TimeoutError } from '../model/errors.ts'
import type { Ledger } from '../model/ledger.ts'
import type { TaskPlan } from '../model/options.ts'
import { delayBeforeRetry } from '../model/retry.ts'
import type { Observer } from '../model/seam.ts'
import type { Outcome, Priority, Result, State, TaskMode } from '../model/words.ts'
import type { Gate } from './gate.ts'
import { Gathering } from './gathering.ts'
import { Holds } from './holds.ts'
import { ReadyQueue } from './ready-queue.ts'
import { type Batch, BatchRun, type Job, type Run, TaskQueue } from './task-queue.ts'
import { Timers } from './timers.ts'
import { Turn } from './turn.ts'
import type { Waiting } from './waiting.ts'

export interface SchedulerOptions<J extends Job> {
  readonly clock: Clock
  /** How many attempts may run at once. */
  readonly concurrency: number
  readonly queueLimit: number
  /** What else says who may start. */
  readonly gates: readonly Gate[]
  /** ms. */
  readonly maxHold: number
  /** From 0 up to, not including, 1. */
  readonly random: () => number
  /** Runs the job's handler; may return a promise, may throw. */
  readonly execute: (job: J) => unknown
  /** Runs the handler of jobs that run together; `fail` says that one of them, by its index, has failed. */
  readonly executeBatch: (jobs: readonly J[], fail: (index: number, error: unknown) => void) => unknown
  /** With which other jobs of its task it may run together; undefined: it runs alone. */
  readonly groupOf: (job: J) => string | undefined
  /** Aborts the signal of the running attempt. */
  readonly abort: (job: J, reason: Error) => void
  /** Tells the engine how an attempt of a job that it gave has ended; `settleTaken` follows when it has taken note. */
  readonly acknowledge: (job: J, verdict: Verdict) => void
  readonly observer: Observer<J>
  /** `retryIf` threw. */
  readonly hookThrew: (error: unknown) => void
}

/** What becomes of a job that an engine gave to this process. */
export type Verdict =
  | { readonly outcome: 'completed' }
  | { readonly outcome: 'failed'; readonly error: unknown }
  /** @property delay ms; @property failed the attempt counts against its attempts. */
  | { readonly outcome: 'returned'; readonly delay: number; readonly failed: boolean; readonly error: unknown }

export class Scheduler<J extends Job> {
  readonly clock: Clock
  readonly #options: SchedulerOptions<J>
  readonly #observer: Observer<J>
  readonly #ready = new ReadyQueue<J>()
  readonly #timers: Timers<J>
  readonly #holds: Holds<J>
  readonly #gathering: Gathering<J>
  readonly #turn: Turn
  readonly #runs = new Set<Run<J>>()
  readonly #outcomes: Record<Outcome, number> = { completed: 0, failed: 0, cancelled: 0, dropped: 0, handed_off: 0 }
  readonly #states: Record<State, number> = { held: 0, delayed: 0, ready: 0, running: 0, retrying: 0 }
  readonly #whenIdle: (() => void)[] = []
  #deferred = 0
  #taken = 0
  #returned = 0
  /** Of those taken, what has neither an outcome nor been returned. */
  #holding = 0
  #offered = 0
  #zombies = 0
  readonly #tasks: TaskQueue<J>[] = []
  #used = 0
  #limit: number
  #pumping = false
  #pumpQueued = false
  /** Clock ms from which on nothing more may start or be tried again; set by `stop` and `drain`. */
  #lastStart = Number.POSITIVE_INFINITY
  readonly #admits: (priority: Priority, now: number) => boolean

  constructor(options: SchedulerOptions<J>) {
    this.#options = options
    const { gates } = options
    this.#admits = (priority, now) => gates.every((gate) => gate.admits(priority, now))
    this.#observer = options.observer
    this.clock = options.clock
    this.#limit = options.concurrency
    this.#timers = new Timers(options.clock, (job) => this.#timeIsUp(job))
    this.#gathering = new Gathering(this.#ready, this.#timers, () => this.#queuePump())
    this.#holds = new Holds(options.clock, options.maxHold, (job) => this.#triggered(job, false))
    this.#turn = new Turn(options.clock, () => this.#pump())
  }

  get limit(): number {
    return this.#limit
  }

  /** Slots taken, zombies included. */
  get used(): number {
    return this.#used
  }

  /** Accepted deferrals that do not run. */
  get waiting(): number {
    return this.#states.held + this.#states.delayed + this.#states.ready + this.#states.retrying
  }

  /** Jobs of engines that run here. */
  get taken(): number {
    return this.#holding
  }

  get unfinished(): number {
    return this.waiting + this.#states.running
  }

  task(name: string, plan: TaskPlan): TaskQueue<J> {
    const task = new TaskQueue<J>(name, plan, this.#tasks.length)
    this.#tasks.push(task)
    return task
  }

  /**
   * Takes a job in. Held, it waits for `trigger`; otherwise its trigger is now.
   *
   * @param refusal Why it must not be accepted, whatever the load; it is dropped with this error.
   */
  defer(job: J, held: boolean, refusal?: AfterspanError): void {
    this.#deferred++
    const error = refusal ?? this.#overload(job.priority)
    if (error !== undefined) {
      job.error = error
      this.#observer.deferred(job)
      this.#finish(job, 'dropped')
      return
    }
    if (job.key !== undefined) job.task.keys.set(job.key, job)
    if (held) {
      this.#holds.add(job)
      this.#enter(job, 'held', true)
    } else {
      this.#triggered(job, true)
    }
  }

  /**
   * Takes in a job that goes to an engine; `conclude` follows.
   *
   * @param refusal As in `defer`.
   * @returns Whether it is to be sent.
   */
  offer(job: J, refusal?: AfterspanError): boolean {
    this.#deferred++
    const error = refusal ?? this.#overload(job.priority)
    if (error !== undefined) {
      job.error = error
      this.#observer.deferred(job)
      this.#finish(job, 'dropped')
      return false
    }
    job.readyAt = job.deferredAt
    job.task.offered.add(job)
    this.#offered++
    this.#enter(job, 'ready', true)
    return true
  }

  /** The engine has it, or never will. Without effect when it has an outcome already. */
  conclude(job: J, outcome: 'handed_off' | 'dropped' | 'cancelled', error?: unknown): void {
    if (!job.task.offered.delete(job)) return
    this.#offered--
    job.error = error
    this.#finish(job, outcome)
  }

  /**
   * Runs a job that an engine has given to this process, at once.
   *
   * @param attempt The how manieth start of it this is, from 1.
   * @param wait How long it has waited for it, ms.
   */
  take(job: J, attempt: number, wait: number): void {
    const now = this.clock.now()
    this.#taken++
    this.#holding++
    const run: Run<J> = { job, live: true, since: now, taken: true }
    job.attempt = attempt
    job.readyAt = now - wait
    job.startedAt = now
    job.run = run
    this.#runs.add(run)
    if (job.failures === 0) job.task.tokens(now)?.deposit()
    if (job.task.plan.timeout !== undefined) this.#timers.set(job, now + job.task.plan.timeout)
    this.#states.running++
    job.state = 'running'
    this.#observer.taken(job)
    this.#observer.entered(job, 'running', undefined)
    this.#run(run)
  }

  /** The engine has taken note of how an attempt ended; `retried` and `returned`: the job is its own again, after a failure or not. */
  settleTaken(job: J, outcome: 'completed' | 'failed' | 'cancelled' | 'retried' | 'returned'): void {
    if (job.state !== 'running' || job.run !== undefined) return
    this.#holding--
    if (outcome !== 'retried' && outcome !== 'returned') {
      this.#finish(job, outcome)
      return
    }
    this.#states.running--
    this.#returned++
    job.state = undefined
    this.#observer.returned(job, outcome === 'retried')
    this.#whenUnfinishedIsZero()
  }

  /** A job was taken out of an engine so that nobody runs it. */
  takeOut(job: J, reason: unknown): void {
    this.#taken++
    this.#observer.taken(job)
    job.error = new CancelledError(job.task.name, reason)
    this.#finish(job, 'cancelled')
  }

  /** The engine has given a job that runs here to somebody else: what it does is done twice, so it is aborted. */
  lose(job: J): void {
    this.#observer.lost(job)
    if (job.run?.live === true) this.cancel(job, 'the engine has given it to another process')
  }

  /** Takes in work that runs already: no queue, no slot; it ends with `settle`. */
  adopt(job: J): Run<J> {
    this.#deferred++
    job.attempt = 1
    job.readyAt = job.startedAt = job.deferredAt
    const run = { job, live: true, since: job.startedAt, taken: false }
    job.run = run
    this.#enter(job, 'running', true)
    this.#observer.attemptStarted(job)
    return run
  }

  /** Ends what was adopted, which cannot be run again. Without effect when it was cancelled before. */
  settle(run: Run<J>, result: 'ok' | 'error', error?: unknown): void {
    if (!run.live) return
    this.#endAttempt(run.job, result, error, { runsOn: false, final: true })
  }

  /** The response is over: a held job may go on. Without effect in any other state. */
  trigger(job: J): void {
    if (job.state !== 'held') return
    this.#holds.remove(job)
    this.#triggered(job, false)
  }

  /** Ends the deferral as cancelled, in whatever state it is; false when it has an outcome already. */
  cancel(job: J, reason?: unknown): boolean {
    const state = job.state
    if (state === undefined || job.task.offered.has(job)) return false
    const error = new CancelledError(job.task.name, reason)
    if (state === 'running') {
      // Its attempt has ended, and an engine is being told.
      if (job.run === undefined) return false
      // Others that run with it go on.
      if ((job.run!.batch?.live ?? 1) === 1) this.#abort(job, error)
      // The abort may have made the handler settle at once, and so ended the attempt.
      if (job.state !== 'running') return job.outcome === 'cancelled'
      this.#endAttempt(job, 'cancelled', error, { runsOn: true, final: true })
      this.#pump()
      return true
    }
    if (state === 'ready' && job.batch !== undefined) this.#gathering.leave(job, job.batch)
    else if (state === 'ready') this.#ready.remove(job)
    else if (state === 'held') this.#holds.remove(job)
    else this.#timers.clear(job)
    job.error = error
    this.#finish(job, 'cancelled')
    return true
  }

  /** From now on nothing starts but batches that have gathered: all else that waits is cancelled. Attempts that run go on. */
  stop(): void {
    this.#lastStart = Number.NEGATIVE_INFINITY
    for (const job of this.#waitingJobs()) if (job.batch === undefined || isPaused(job)) this.cancel(job, 'closed')
    this.#gathering.close(this.#tasks)
  }

  /** Lets what can start until `deadline` (clock ms) start, and cancels what cannot. */
  drain(deadline: number): void {
    this.#lastStart = deadline
    this.#gathering.close(this.#tasks)
    for (const job of this.#waitingJobs()) {
      const tooLate = (job.state === 'delayed' || job.state === 'retrying') && job.rank > deadline
      if (tooLate || isPaused(job)) this.cancel(job, 'closed')
    }
  }

  /** Cancels everything. */
  cancelAll(reason: unknown): void {
    this.#lastStart = Number.NEGATIVE_INFINITY
    for (const job of this.#waitingJobs()) this.cancel(job, reason)
    for (const run of [...this.#runs]) if (run.live) this.cancel(run.job, reason)
    for (const task of this.#tasks) {
      for (const job of task.offered) this.conclude(job, 'dropped', closedBeforeAccepted(task.name))
    }
  }

  /** Resolves when every deferral has its outcome; zombies are not waited for. */
  idle(): Promise<void> {
    if (this.unfinished === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenIdle.push(resolve))
  }

  /** A gate that has held back somebody may have opened. */
  resume(): void {
    this.#queuePump()
  }

  /** Whether jobs of this priority wait for a slot, or for a gate to let them start. */
  waitsFor(priority: Priority): boolean {
    return this.#ready.has(priority)
  }

  /** Without effect once it stops or drains: the time that is left is for the work. */
  setMode(task: TaskQueue<J>, mode: TaskMode): void {
    if (this.#lastStart !== Number.POSITIVE_INFINITY) return
    task.mode = mode
    if (mode === 'paused') this.#ready.block(task)
    else if (!task.full) this.#ready.unblock(task)
    this.#queuePump()
  }

  /** All that waits of a task and where, without a copy; see `waitingPage`. */
  waitingOf(task: TaskQueue<J>): Waiting<J> {
    return { task, timed: this.#timers, held: this.#holds }
  }

  ledger(): Ledger {
    return {
      deferred: this.#deferred,
      taken: this.#taken,
      returned: this.#returned,
      outcomes: { ...this.#outcomes },
      states: { ...this.#states },
      zombies: this.#zombies,
    }
  }

  #overload(priority: Priority): AfterspanError | undefined {
    if (this.waiting < this.#options.queueLimit) return undefined
    // What finds a free slot does not wait: a burst of as many as may run is no overload.
    const free = this.#admits(priority, this.clock.now()) ? Math.max(0, this.#limit - this.#used) : 0
    const starting = Math.min(this.#states.ready - this.#offered, free)
    if (this.waiting - starting < this.#options.queueLimit) return undefined
    return new AfterspanError(
      'ERR_AFTERSPAN_QUEUE_FULL',
      `Dropped: queueLimit (${this.#options.queueLimit}) tasks are waiting.`,
    )
  }

  #triggered(job: J, isNew: boolean): void {
    if (job.delay > 0) {
      const due = this.clock.now() + job.delay
      this.#timers.set(job, due)
      this.#enter(job, 'delayed', isNew)
      if (due > this.#lastStart) this.cancel(job, 'closed')
    } else {
      this.#makeReady(job, isNew)
    }
  }

  #makeReady(job: J, isNew: boolean): void {
    job.readyAt = isNew ? job.deferredAt : this.clock.now()
    const group = this.#options.groupOf(job)
    if (group === undefined) this.#ready.add(job)
    else this.#gathering.add(job, group)
    this.#enter(job, 'ready', isNew)
    if (isPaused(job) && this.#lastStart !== Number.POSITIVE_INFINITY) this.cancel(job, 'closed')
    this.#queuePump()
  }

  #timeIsUp(job: J): void {
    switch (job.state) {
      case 'delayed':
      case 'retrying':
        this.#makeReady(job, false)
        break
      case 'ready':
        this.#gathering.isDue(job.batch!)
        break
      case 'running': {
        const error = new TimeoutError(job.task.name, job.task.plan.timeout!)
        const run = job.run!
        this.#abort(job, error)
        if (!run.live) return
        this.#endAttempt(job, 'timeout', error, { runsOn: true, final: false })
        this.#pump()
      }
    }
  }

  /** Starts come after the caller's own code, so that `defer` returns before the handler runs. */
  #queuePump(): void {
    if (this.#pumpQueued || this.#pumping || this.#used >= this.#limit) return
    this.#pumpQueued = true
    queueMicrotask(() => {
      this.#pumpQueued = false
      this.#pump()
    })
  }

  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    while (this.#states.ready > this.#offered && this.#used < this.#limit) {
      const now = this.clock.now()
      if (!this.#turn.allows(now)) break
      const job = this.#ready.take(now, this.#admits)
      if (job === undefined) break
      if (job.batch === undefined) this.#start(job, now)
      else this.#startBatch(job.batch, now)
    }
    this.#pumping = false
  }

  #start(job: J, now: number): void {
    const run: Run<J> = { job, live: true, since: now, taken: false }
    this.#takeSlot(job, now)
    this.#startAttempt(run, now)
    this.#run(run)
  }

  #run(run: Run<J>): void {
    const { job } = run
    this.#observer.attemptStarted(job)
    try {
      this.#await(run, this.#options.execute(job))
    } catch (error) {
      this.#settled(run, 'error', error)
    }
  }

  #startBatch(batch: Batch<J>, now: number): void {
    const { jobs } = batch
    const task = jobs[0]!.task as TaskQueue<J>
    task.forget(batch)
    const batchRun = new BatchRun<J>(jobs, now)
    this.#takeSlot(jobs[0]!, now)
    for (const run of batchRun.runs) {
      run.job.batch = undefined
      this.#startAttempt(run, now)
    }
    this.#observer.batchStarted(jobs)
    for (const job of jobs) this.#observer.attemptStarted(job)
    const fail = (index: number, error: unknown) => batchRun.failures.set(index, error)
    try {
      this.#await(batchRun, this.#options.executeBatch(jobs, fail))
    } catch (error) {
      this.#settled(batchRun, 'error', error)
    }
  }

  #takeSlot(job: J, now: number): void {
    const task = job.task as TaskQueue<J>
    this.#used++
    for (const gate of this.#options.gates) gate.started(job.priority, now)
    task.running++
    if (task.full) this.#ready.block(task)
  }

  #freeSlot({ job, since }: Run<J>): void {
    const task = job.task as TaskQueue<J>
    const now = this.clock.now()
    for (const gate of this.#options.gates) gate.ended(job.priority, Math.max(0, now - since), now)
    const wasFull = task.full
    this.#used--
    task.running--
    if (wasFull && !task.full) this.#ready.unblock(task)
  }

  #startAttempt(run: Run<J>, now: number): void {
    const { job } = run
    const task = job.task as TaskQueue<J>
    job.attempt++
    job.startedAt = now
    job.run = run
    this.#runs.add(run)
    if (job.attempt === 1) task.tokens(now)?.deposit()
    if (task.plan.timeout !== undefined) this.#timers.set(job, now + task.plan.timeout)
    this.#enter(job, 'running', false)
  }

  #await(run: Run<J> | BatchRun<J>, value: unknown): void {
    if (isThenable(value)) {
      Promise.resolve(value).then(
        () => this.#settled(run, 'ok', undefined),
        (error) => this.#settled(run, 'error', error),
      )
    } else {
      this.#settled(run, 'ok', undefined)
    }
  }

  /** The handler of a run that holds slots has settled. */
  #settled(run: Run<J> | BatchRun<J>, result: 'ok' | 'error', error: unknown): void {
    if (run instanceof BatchRun) {
      this.#batchSettled(run, result, error)
      return
    }
    // Once only, whatever a thenable does.
    if (!this.#runs.delete(run)) return
    if (!run.taken) this.#freeSlot(run)
    if (run.live) this.#endAttempt(run.job, result, error, { runsOn: false, final: false })
    else this.#zombieEnded(run.job)
    this.#pump()
  }

  /** The handler of jobs that run together has settled. */
  #batchSettled(batch: BatchRun<J>, result: 'ok' | 'error', error: unknown): void {
    const { runs, failures } = batch
    const { job } = runs[0]!
    if (!this.#runs.has(runs[0]!)) return
    for (const run of runs) this.#runs.delete(run)
    this.#freeSlot(runs[0]!)
    if (batch.live === 0) this.#zombieEnded(job)
    runs.forEach((run, index) => {
      if (!run.live) return
      if (failures.has(index)) this.#endAttempt(run.job, 'error', failures.get(index), { runsOn: false, final: false })
      else this.#endAttempt(run.job, result, error, { runsOn: false, final: false })
    })
    this.#pump()
  }

  #zombieEnded(job: J): void {
    job.task.zombies--
    this.#zombies--
    this.#observer.zombieEnded(job)
  }

  #abort(job: J, error: Error): void {
    this.#options.abort(job, error)
  }

  #endAttempt(job: J, result: Result, error: unknown, { runsOn, final }: { runsOn: boolean; final: boolean }): void {
    const now = this.clock.now()
    const run = job.run!
    run.live = false
    job.run = undefined
    this.#timers.clear(job)
    const others = run.batch === undefined ? 0 : --run.batch.live
    // Adopted work holds no slot, so it leaves no zombie; of a batch the last one that ends does.
    const zombie = runsOn && others === 0 && this.#runs.has(run)
    if (zombie) {
      job.task.zombies++
      this.#zombies++
    }
    job.error = error
    this.#observer.attemptEnded(job, { result, error, duration: Math.max(0, now - job.startedAt), zombie })
    if (run.taken) this.#options.acknowledge(job, this.#verdict(job, result, error, now))
    else if (result === 'ok') this.#finish(job, 'completed')
    else if (result === 'cancelled') this.#finish(job, 'cancelled')
    else if (final) this.#finish(job, 'failed')
    else this.#retryOrFail(job, error, now)
  }

  /** What an engine is told. A cancelled attempt goes back to it whole, since only this process wanted it to end. */
  #verdict(job: J, result: Result, error: unknown, now: number): Verdict {
    if (result === 'ok') return { outcome: 'completed' }
    if (result === 'cancelled') return { outcome: 'returned', delay: 0, failed: false, error }
    const { hookThrew, random } = this.#options
    const plan = { ...job.task.plan.retry, attempts: job.attempts }
    const delay = delayBeforeRetry(plan, job.failures + 1, error, random, hookThrew)
    if (delay === undefined) return { outcome: 'failed', error }
    if (job.task.tokens(now)?.withdraw(now) === false) {
      this.#observer.retryRefused(job)
      return { outcome: 'failed', error }
    }
    return { outcome: 'returned', delay, failed: true, error }
  }

  #retryOrFail(job: J, error: unknown, now: number): void {
    const { hookThrew, random } = this.#options
    const delay = delayBeforeRetry(job.task.plan.retry, job.attempt, error, random, hookThrew)
    if (delay === undefined) {
      this.#finish(job, 'failed')
    } else if (now + delay > this.#lastStart) {
      this.#finish(job, 'cancelled')
    } else if (job.task.tokens(now)?.withdraw(now) === false) {
      this.#observer.retryRefused(job)
      this.#finish(job, 'failed')
    } else {
      this.#timers.set(job, now + delay)
      this.#enter(job, 'retrying', false)
    }
  }

  #enter(job: J, state: State, isNew: boolean): void {
    const from = job.state
    if (from !== undefined) this.#states[from]--
    job.state = state
    this.#states[state]++
    if (isNew) this.#observer.deferred(job)
    this.#observer.entered(job, state, from)
  }

  #finish(job: J, outcome: Outcome): void {
    const from = job.state
    if (from !== undefined) this.#states[from]--
    job.state = undefined
    job.outcome = outcome
    this.#outcomes[outcome]++
    if (job.key !== undefined && job.task.keys.get(job.key) === (job as Job)) job.task.keys.delete(job.key)
    this.#observer.finished(job, outcome, from)
    this.#whenUnfinishedIsZero()
  }

  #whenUnfinishedIsZero(): void {
    if (this.unfinished === 0 && this.#whenIdle.length > 0) for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  #waitingJobs(): J[] {
    const jobs: J[] = [...this.#holds.jobs()]
    for (const job of this.#timers.jobs()) if (job.state === 'delayed' || job.state === 'retrying') jobs.push(job)
    for (const task of this.#tasks) for (const job of task.readyJobs()) jobs.push(job)
    return jobs
  }
}

function isPaused(job: Job): boolean {
  return job.task.mode === 'paused'
}

function closedBeforeAccepted(task: string): AfterspanError {
  return new AfterspanError(
    'ERR_AFTERSPAN_CLOSED',
    `Task "${task}" was still on its way to its engine when the process closed, which may or may not have it.`,
  )
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}
