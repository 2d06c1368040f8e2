import { createTasks, RetryAfter } from 'afterspan'
import { createTestTasks } from 'afterspan/testing'
import { describe, expect, test } from 'vitest'

const noop = () => {}
const wrong = (message: string) => expect.objectContaining({ code: 'ERR_AFTERSPAN_OPTION', message })

describe('options are checked at once, with an error that names option, value, type and bounds', () => {
  test.each([
    [
      { concurrency: Number.NaN },
      'Expected `concurrency` to be a whole number from 1 to Infinity, got `NaN` (number).',
    ],
    [{ concurrency: 0 }, 'Expected `concurrency` to be a whole number from 1 to Infinity, got `0` (number).'],
    [{ concurrency: 1.5 }, 'Expected `concurrency` to be a whole number from 1 to Infinity, got `1.5` (number).'],
    [{ concurrency: '16' }, 'Expected `concurrency` to be a whole number from 1 to Infinity, got `16` (string).'],
    [{ maxHold: 2 ** 31 }, 'Expected `maxHold` to be a number from 1 to 2147483647, got `2147483648` (number).'],
    [{ maxHold: -1 }, 'Expected `maxHold` to be a number from 1 to 2147483647, got `-1` (number).'],
    [{ priority: 'urgent' }, "Expected `priority` to be 'high', 'medium', 'low', got `urgent` (string)."],
    [{ onAbort: null }, "Expected `onAbort` to be 'run', 'cancel', got `null` (null)."],
    [{ retry: { attempts: 0 } }, 'Expected `retry.attempts` to be a whole number from 1 to 1000, got `0` (number).'],
    [{ retry: 3 }, 'Expected `retry` to be an object, got `3` (number).'],
    [{ retry: { retryIf: true } }, 'Expected `retry.retryIf` to be a function, got `true` (boolean).'],
    [{ limits: { routes: 0 } }, 'Expected `limits.routes` to be a whole number from 1 to 10000, got `0` (number).'],
    [
      { shutdown: { grace: '1s' } },
      'Expected `shutdown.grace` to be a number from 0 to 2147483647, got `1s` (string).',
    ],
    [{ logger: {} }, 'Expected `logger.info` to be a function, got `null` (null).'],
    [{ timeout: Symbol('s') }, 'Expected `timeout` to be a number from 1 to 2147483647, got `Symbol(s)` (symbol).'],
    [[], 'Expected `options` to be an object, got `` (object).'],
  ])('createTasks(%o)', (options, message) => {
    expect(() => createTasks(options as never)).toThrow(wrong(message))
  })

  test('an option that is not known is not ignored', () => {
    expect(() => createTasks({ concurency: 3 } as never)).toThrow(
      /Unknown option `options\.concurency`\. The options are concurrency, /,
    )
    const tasks = createTestTasks()
    expect(() => tasks.define('a', noop, { retries: 3 } as never)).toThrow(/Unknown option `options\.retries`/)
    expect(() => tasks.defer('a', noop, { wait: 3 } as never)).toThrow(/Unknown option `options\.wait`/)
  })

  test.each([
    [{ delay: -1 }, 'Expected `delay` to be a number from 0 to 2147483647, got `-1` (number).'],
    [
      { delay: Number.POSITIVE_INFINITY },
      'Expected `delay` to be a number from 0 to 2147483647, got `Infinity` (number).',
    ],
    [{ signal: {} }, 'Expected `signal` to be an AbortSignal, got object.'],
    [{ key: '' }, 'Expected `key` to be a string that is not empty, got string.'],
    [{ relation: 'parent' }, "Expected `relation` to be 'child', 'link', 'none', got `parent` (string)."],
  ])('defer(%o): nothing is deferred', (options, message) => {
    const tasks = createTestTasks()
    expect(() => tasks.defer('a', noop, options as never)).toThrow(wrong(message))
    expect(tasks.ledger().deferred).toBe(0)
  })
})

test('names and handlers of tasks are checked at define', () => {
  const tasks = createTestTasks()
  const code = (code: string) => expect.objectContaining({ code })
  tasks.define('once', noop)
  expect(() => tasks.define('once', noop)).toThrow(code('ERR_AFTERSPAN_TASK_EXISTS'))
  for (const name of ['', 'x'.repeat(201), 7, null, undefined])
    expect(() => tasks.define(name as never, noop)).toThrow(code('ERR_AFTERSPAN_TASK_NAME'))
  expect(() => tasks.define('no handler', 'run' as never)).toThrow(code('ERR_AFTERSPAN_HANDLER'))
  expect(() => tasks.track('no promise', 7 as never)).toThrow(code('ERR_AFTERSPAN_PROMISE'))
  expect(() => tasks.close({ grace: -1 })).toThrow(code('ERR_AFTERSPAN_OPTION'))
})

test('RetryAfter takes milliseconds or a date', () => {
  expect(new RetryAfter(250).delay).toBe(250)
  expect(new RetryAfter(-5).delay).toBe(0)
  expect(new RetryAfter(new Date(Date.now() - 1_000)).delay).toBe(0)
  expect(new RetryAfter(new Date(Date.now() + 60_000)).delay).toBeGreaterThan(59_000)
  expect(() => new RetryAfter(Number.NaN)).toThrow(wrong('RetryAfter takes milliseconds or a valid Date, not NaN.'))
})
