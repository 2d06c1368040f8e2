import { createTestTasks } from 'afterspan/testing'
import { expect, test } from 'vitest'
import { labelsPossible, notPossible } from '../../src/profiler/load.ts'
import { startProfiler } from '../../src/profiler/profiler.ts'

test.for([
  [{ rate: 5 }, 'Expected `rate` to be a number from 10 to 2000, got `5` (number).'],
  [{ rate: 2_001 }, 'Expected `rate`'],
  [{ slow: { threshold: 0 } }, 'Expected `slow.threshold`'],
  [{ slow: { factor: 0.5 } }, 'Expected `slow.factor`'],
  [{ slow: { perMinute: 1.5 } }, 'Expected `slow.perMinute` to be a whole number'],
  [{ slow: { limit: 1 } }, 'Unknown option `slow.limit`'],
  [{ slow: true }, 'Expected `slow` to be an object'],
  [{ keep: 0 }, 'Expected `keep`'],
  [{ directory: '' }, 'Expected `directory` to be the path of a directory, got an empty string.'],
  [{ directory: 1 }, 'Expected `directory`'],
  [{ rates: 1 }, 'Unknown option `options.rates`'],
] as const)('wrong options are named: %o', ([options, message]) => {
  const tasks = createTestTasks()
  expect(() => startProfiler(tasks, options as object)).toThrow(
    expect.objectContaining({ code: 'ERR_AFTERSPAN_OPTION', message: expect.stringContaining(message) }),
  )
})

test('what is no tasks is refused', () => {
  expect(() => startProfiler(null as never)).toThrow(expect.objectContaining({ code: 'ERR_AFTERSPAN_TASKS' }))
})

test('where Node cannot tell tasks apart, the error says what to do', () => {
  const major = Number.parseInt(process.versions.node, 10)
  expect(labelsPossible()).toBe(major >= 24)
  expect(notPossible().message).toMatch(
    major >= 24 ? /--no-async-context-frame/ : /Set NODE_OPTIONS=--experimental-async-context-frame, or use Node 24/,
  )
})
