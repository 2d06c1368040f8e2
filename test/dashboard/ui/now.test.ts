import { expect, test } from 'vitest'
import { backoff } from '../../../src/dashboard/ui/data/backoff.ts'
import { filtered, inOrder } from '../../../src/dashboard/ui/now/order.ts'
import { summary, verdict } from '../../../src/dashboard/ui/now/verdict.ts'
import { healthy, now, taskRow } from './mock-data.ts'

test('what fails and what is stuck is told, the worst first', () => {
  const { failing, stuck } = verdict(now(0))
  expect(failing.map(({ name, what }) => `${name}: ${what}`)).toEqual([
    'send-receipt: 34.2 % failed, 127 in 5 min',
    'notify-webhook: 6.1 % failed, 9 in 5 min',
  ])
  expect(stuck.map(({ name, what }) => `${name}: ${what}`)).toEqual([
    'send-receipt: oldest ready for 6 min 12 s',
    'make-thumbnail: oldest ready for 1 min 4 s, 2 zombies',
    'nightly-report: paused, 3 waiting',
  ])
  expect(summary(now(0))).toBe('2 failing, 3 stuck')
})

test('nothing is told where all is well, nor of a pause with nothing to do', () => {
  expect(verdict(healthy(0))).toEqual({ failing: [], stuck: [], other: [] })
  expect(summary(healthy(0))).toBe('ok')
  const quiet = now(0, { tasks: [taskRow('a', { mode: 'paused' }), taskRow('b', { oldest: 29, waiting: 4 })] })
  expect(verdict(quiet)).toEqual({ failing: [], stuck: [], other: [] })
  const blocking = taskRow('a', { trouble: 0.6, reasons: ['holds the event loop 20 % of the time'] })
  expect(verdict(now(0, { tasks: [blocking] }))).toEqual({
    failing: [],
    stuck: [],
    other: [{ name: 'a', trouble: 0.6, what: 'holds the event loop 20 % of the time' }],
  })
  const down = now(0, { tasks: [taskRow('a', { engine: { system: 'BullMQ', queue: 'a', up: false } })] })
  expect(verdict(down).stuck[0]?.what).toBe('BullMQ does not answer')
})

test('tasks are found by parts of their names, and keep the order in which they were held', () => {
  const rows = ['send-receipt', 'send-sms', 'constructor', '__proto__'].map((name) => taskRow(name))
  expect(filtered(rows, ' SEND rec').map(({ name }) => name)).toEqual(['send-receipt'])
  expect(filtered(rows, '')).toBe(rows)
  expect(inOrder(rows, ['__proto__', 'send-sms', 'gone', 'send-receipt']).map(({ name }) => name)).toEqual([
    '__proto__',
    'send-sms',
    'send-receipt',
    'constructor',
  ])
})

test('tries come later and later, up to half a minute, and not all at one moment', () => {
  expect([1, 2, 3, 4, 5, 6, 60].map((failures) => backoff(failures, () => 1))).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000,
  ])
  expect(backoff(3, () => 0)).toBe(3_000)
})
