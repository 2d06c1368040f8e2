import { bullmq } from 'afterspan/bullmq'
import { createTestTasks } from 'afterspan/testing'
import { expect, test } from 'vitest'

const connection = { host: '127.0.0.1', port: 1, lazyConnect: true }

test.each([
  [undefined, /Expected `connection`/],
  [{}, /Expected `connection` to be options such as \{ host, port \}/],
  [{ connection: 'redis://localhost' }, /Expected `connection`.* got string/],
  [{ connection, lock: 10 }, /Expected `lock` to be a number from 1000 to 2147483647, got `10`/],
  [{ connection, lock: Number.NaN }, /Expected `lock`/],
  [{ connection, buffer: -1 }, /Expected `buffer` to be a whole number from 0 to 1000000/],
  [{ connection, sendTimeout: 2 ** 31 }, /Expected `sendTimeout`/],
  [{ connection, keepFailed: 1.5 }, /Expected `keepFailed` to be a whole number/],
  [{ connection, maxRedeliveries: '3' }, /Expected `maxRedeliveries`.*\(string\)/],
  [{ connection, prefix: '' }, /Expected `prefix`/],
  [{ connection, queueName: 'mail' }, /Expected `queueName` to be a function/],
  [{ connection, atempts: 3 }, /Unknown option `options.atempts`. The options are connection, prefix,/],
])('bullmq(%o) is an error that names the option', (options, message) => {
  expect(() => bullmq(options as never)).toThrow(
    expect.objectContaining({ code: 'ERR_AFTERSPAN_OPTION', message: expect.stringMatching(message) }),
  )
})

test('a name that BullMQ cannot have is an error at define, which queueName mends', async () => {
  const tasks = createTestTasks()
  expect(() => tasks.define('mail:receipt', () => {}, { engine: bullmq({ connection }) })).toThrow(
    expect.objectContaining({
      code: 'ERR_AFTERSPAN_ENGINE',
      message: expect.stringMatching(/"mail:receipt".*`queueName`/),
    }),
  )
  const queueName = (task: string) => task.replaceAll(':', '.')
  expect(tasks.define('mail:welcome', () => {}, { engine: bullmq({ connection, queueName }) }).name).toBe(
    'mail:welcome',
  )
  expect(tasks.snapshot().engines).toMatchObject([{ system: 'bullmq', queue: 'mail.welcome' }])
  await tasks.close()
})
