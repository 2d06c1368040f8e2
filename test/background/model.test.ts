import { AfterspanError, imbalance, type Outcome, type State, type TaskHandle } from 'afterspan'
import type { TestTasks } from 'afterspan/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Ending, inScope, type Scope, type Waiting } from '../../src/background/scope.ts'
import { MODES, OUTCOMES, PRIORITIES, STATES, type TaskMode } from '../../src/model/words.ts'
import { TestTasks as BrakedTasks } from '../../src/testing/test-tasks.ts'
import { FakeMeter } from './fake-meter.ts'

/** A request as the Express door makes one, ended by hand. */
class FakeRequest implements Scope {
  readonly spanContext = undefined
  readonly since: number
  endedAt: number | undefined
  readonly method = 'POST'
  readonly route = '/fake'
  #waiting: Waiting[] | undefined = []
  readonly #tasks: TestTasks

  constructor(tasks: TestTasks) {
    this.#tasks = tasks
    this.since = tasks.clock.now()
  }

  get origin() {
    return this
  }

  get response() {
    return this.#waiting === undefined ? undefined : { add: (waiting: Waiting) => this.#waiting!.push(waiting) }
  }

  end(ending: Ending): void {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    this.endedAt ??= this.#tasks.clock.now()
    for (const one of waiting) one.responseOver(ending)
  }
}

interface Run {
  readonly task: string
  resolve(): void
  reject(error: unknown): void
  /** Of a batch: fails one of its items. */
  failOne?(): void
}

const TASKS = ['wide', 'narrow', 'timed', 'retried', 'hooked', 'batched'] as const
const LIMIT = 4

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('defer' as const),
      task: fc.constantFrom(...TASKS),
      priority: fc.constantFrom(undefined, ...PRIORITIES),
      delay: fc.constantFrom(0, 0, 0, 50, 5_000),
      key: fc.constantFrom(undefined, undefined, 'a', 'b'),
      request: fc.option(fc.nat(3), { nil: undefined }),
      signal: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      request: fc.nat(3),
      ending: fc.constantFrom<Ending>('finished', 'aborted', 'errored'),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('settle' as const), which: fc.nat(1000), fails: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), which: fc.nat(1000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abort' as const), which: fc.nat(1000) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 60, 1_500, 20_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('track' as const), fails: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delay' as const), delay: fc.constantFrom(0, 4, 500) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('heap' as const), used: fc.constantFrom(50, 85, 95) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('mode' as const),
      task: fc.constantFrom(...TASKS),
      mode: fc.constantFrom(...MODES),
    }),
  },
)

const program = fc.record({
  onAbort: fc.constantFrom('run' as const, 'cancel' as const),
  onError: fc.constantFrom('run' as const, 'cancel' as const),
  steps: fc.array(step, { minLength: 1, maxLength: 60 }),
  grace: fc.constantFrom(0, 10, 3_000),
  drain: fc.boolean(),
  governed: fc.boolean(),
})

test('whatever happens in whatever order, the ledger balances after each step and each deferral has one outcome', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(program, async ({ onAbort, onError, steps, grace, drain, governed }) => {
      const meter = new FakeMeter()
      let heap = 50
      const tasks = new BrakedTasks(
        {
          concurrency: LIMIT,
          queueLimit: 12,
          maxHold: 10_000,
          onAbort,
          onError,
          ...(governed && { governor: { maxLoopDelay: 5 } }),
        },
        { meter: () => meter, heap: () => ({ used: heap, limit: 100 }) },
      )
      const inFlight: Run[] = []
      const modes = new Map<string, TaskMode>()
      const startedWhilePaused: string[] = []
      const begin = (run: Run) => {
        if (modes.get(run.task) === 'paused') startedWhilePaused.push(run.task)
        inFlight.push(run)
      }
      const handler = (task: string) => () =>
        new Promise<void>((resolve, reject) => {
          begin({ task, resolve, reject })
        })
      const defined = {
        wide: tasks.define('wide', handler('wide')),
        narrow: tasks.define('narrow', handler('narrow'), { concurrency: 1, priority: 'low' }),
        timed: tasks.define('timed', handler('timed'), { timeout: 1_000 }),
        retried: tasks.define('retried', handler('retried'), {
          retry: { attempts: 3, initial: 100 },
          priority: 'high',
        }),
        hooked: tasks.define('hooked', handler('hooked'), {
          retry: {
            attempts: 2,
            retryIf: () => {
              throw new Error('the hook crashed')
            },
          },
        }),
        batched: tasks.defineBatch(
          'batched',
          (payloads, { fail }) =>
            new Promise<void>((resolve, reject) => {
              expect(payloads.length).toBeLessThanOrEqual(3)
              const failOne = () => fail(payloads.length - 1, new Error('only this one'))
              begin({ task: 'batched', resolve, reject, failOne })
            }),
          { maxSize: 3, maxWait: 100, timeout: 2_000, retry: { attempts: 2, initial: 50 } },
        ),
      }
      const handles = new Map<string, TaskHandle>()
      const finished = new Map<string, Outcome[]>()
      tasks.on('finished', ({ id, outcome }) => {
        finished.set(id, [...(finished.get(id) ?? []), outcome])
        throw new Error('the listener crashed')
      })
      const requests = Array.from({ length: 4 }, () => new FakeRequest(tasks))
      const signals: AbortController[] = []

      const check = () => {
        expect(startedWhilePaused).toEqual([])
        const ledger = tasks.ledger()
        expect(imbalance(ledger)).toBe(0)
        const counted = Object.fromEntries([...STATES, ...OUTCOMES].map((word) => [word, 0])) as Record<
          State | Outcome,
          number
        >
        for (const handle of handles.values()) counted[handle.state]++
        expect(counted).toEqual({ ...ledger.states, ...ledger.outcomes })
        for (const [id, handle] of handles) {
          const outcomes = finished.get(id) ?? []
          const ended = OUTCOMES.includes(handle.state as Outcome)
          expect(outcomes).toEqual(ended ? [handle.state] : [])
        }
        expect(inFlight.length).toBeLessThanOrEqual(LIMIT)
        expect(inFlight.filter(({ task }) => task === 'narrow').length).toBeLessThanOrEqual(1)
        expect(tasks.snapshot().concurrency.used).toBe(inFlight.length)
        expect(tasks.snapshot().queue.waiting).toBeLessThanOrEqual(12 + LIMIT)
      }

      for (const step of steps) {
        if (step.do === 'defer') {
          const controller = new AbortController()
          if (step.signal) signals.push(controller)
          const defer = () =>
            defined[step.task].defer(undefined, {
              delay: step.delay,
              ...(step.priority && { priority: step.priority }),
              ...(step.key && { key: step.key }),
              ...(step.signal && { signal: controller.signal }),
            })
          const handle = step.request === undefined ? defer() : inScope(requests[step.request]!, defer)
          // A key never finds a deferral that has ended.
          expect([...STATES, 'dropped']).toContain(handle.state)
          const isNew = !handles.has(handle.id)
          if (isNew && modes.get(step.task) === 'draining') {
            expect(handle.error).toMatchObject({ code: 'ERR_AFTERSPAN_DRAINING' })
          }
          handles.set(handle.id, handle)
        }
        if (step.do === 'end') requests[step.request]!.end(step.ending)
        if (step.do === 'settle' && inFlight.length > 0) {
          const [run] = inFlight.splice(step.which % inFlight.length, 1)
          if (step.fails && step.which % 2 === 0) run!.failOne?.()
          if (step.fails && (run!.failOne === undefined || step.which % 2 === 1)) run!.reject(new Error('no'))
          else run!.resolve()
        }
        if (step.do === 'cancel' && handles.size > 0) [...handles.values()][step.which % handles.size]!.cancel('test')
        if (step.do === 'abort' && signals.length > 0) signals[step.which % signals.length]!.abort()
        if (step.do === 'track') {
          const handle = tasks.track('tracked', step.fails ? Promise.reject(new Error('no')) : Promise.resolve())
          handles.set(handle.id, handle)
        }
        if (step.do === 'delay') meter.report(step.delay)
        if (step.do === 'heap') heap = step.used
        if (step.do === 'mode') {
          modes.set(step.task, step.mode)
          tasks[step.mode === 'paused' ? 'pause' : step.mode === 'draining' ? 'drain' : 'resume'](step.task)
        }
        if (step.do === 'wait') await tasks.clock.advance(step.ms)
        await tasks.clock.turn()
        check()
      }

      const closed = tasks.close({ grace, drain })
      const late = defined.wide.defer()
      handles.set(late.id, late)
      expect(await late.outcome).toBe('dropped')
      await expect(late.accepted).rejects.toThrow(AfterspanError)
      await tasks.clock.advance(grace)
      await tasks.clock.turn()
      const ledger = await closed
      expect(Object.values(ledger.states)).toEqual([0, 0, 0, 0, 0])
      check()
      for (const outcome of OUTCOMES) {
        expect((await tasks.metric('afterspan.task.finished', { 'task.outcome': outcome })) ?? 0).toBe(
          ledger.outcomes[outcome],
        )
      }
      expect(await tasks.metric('afterspan.task.deferred')).toBe(ledger.deferred)
      expect(await tasks.metric('afterspan.task.pending')).toBe(0)
      // What still runs is a zombie; when its handlers settle, nothing is left.
      expect(ledger.zombies).toBe(inFlight.length)
      for (const run of inFlight.splice(0)) run.resolve()
      await tasks.clock.turn()
      expect(tasks.ledger()).toEqual({ ...ledger, zombies: 0 })
      expect(tasks.snapshot().concurrency.used).toBe(0)
    }),
    { numRuns: 300 },
  )
})
