import { createTestTasks } from 'afterspan/testing'
import { expect, test } from 'vitest'
import { inScope, type Waiting } from '../../src/background/scope.ts'

/** A response that is never over. */
function endless() {
  const waiting: Waiting[] = []
  return {
    origin: undefined,
    spanContext: undefined,
    since: 0,
    response: { add: (one: Waiting) => waiting.push(one) },
    waiting,
  }
}

test('each held task is let go maxHold after its own deferral, in order, also when those before it were answered or cancelled', async () => {
  const tasks = createTestTasks({ maxHold: 1_000 })
  const started: string[] = []
  const note = tasks.define('note', (name: string) => {
    started.push(`${name} at ${tasks.clock.now()}`)
  })
  const from = tasks.clock.now()
  const answered = endless()
  inScope(answered, () => note.defer('answered'))
  await tasks.clock.advance(200)
  const cancelled = inScope(endless(), () => note.defer('cancelled'))
  inScope(endless(), () => note.defer('first'))
  await tasks.clock.advance(300)
  inScope(endless(), () => note.defer('second'))
  answered.waiting[0]!.responseOver('finished')
  cancelled.cancel()
  await tasks.clock.advance(5_000)
  expect(started).toEqual([`answered at ${from + 500}`, `first at ${from + 1_200}`, `second at ${from + 1_500}`])
  inScope(endless(), () => note.defer('later'))
  await tasks.clock.advance(999)
  expect(started).toHaveLength(3)
  await tasks.clock.advance(1)
  expect(started).toHaveLength(4)
})
