import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { OWN_LISTENER } from '../../src/background/shutdown.ts'
import { flushAtExit } from '../../src/sdk/exit.ts'

class FakeProcess extends EventEmitter {
  readonly pid = 1
  readonly killed: string[] = []

  kill(_pid: number, signal: string): void {
    this.killed.push(signal)
  }
}

let process: FakeProcess
let flush: ReturnType<typeof vi.fn<() => Promise<void>>>
let abandon: ReturnType<typeof vi.fn<() => void>>

beforeEach(() => {
  vi.useFakeTimers()
  process = new FakeProcess()
  flush = vi.fn(async () => {})
  abandon = vi.fn()
})
afterEach(() => {
  vi.useRealTimers()
})

const install = () => flushAtExit({ flush, abandon }, process as unknown as NodeJS.Process)

test('a signal that nobody else listens to is raised again when the telemetry is sent', async () => {
  let sent = () => {}
  flush.mockReturnValue(
    new Promise((resolve) => {
      sent = resolve
    }),
  )
  install()
  process.emit('SIGTERM')
  await vi.advanceTimersByTimeAsync(1)
  expect(process.killed).toEqual([])
  sent()
  await vi.advanceTimersByTimeAsync(1)
  expect(process.killed).toEqual(['SIGTERM'])
  expect(process.listenerCount('SIGTERM')).toBe(0)
})

test('the end of the process waits for five seconds at most', async () => {
  flush.mockReturnValue(new Promise(() => {}))
  install()
  process.emit('SIGINT')
  await vi.advanceTimersByTimeAsync(4_900)
  expect(process.killed).toEqual([])
  expect(abandon).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(200)
  expect(abandon).toHaveBeenCalledOnce()
  expect(process.killed).toEqual(['SIGINT'])
})

test('a signal that the app, or createTasks, listens to is left to them, and the telemetry is sent meanwhile', async () => {
  install()
  process.on('SIGTERM', () => {})
  process.emit('SIGTERM')
  await vi.advanceTimersByTimeAsync(10_000)
  expect(flush).toHaveBeenCalledOnce()
  expect(process.killed).toEqual([])
})

test('its listeners are marked, so that createTasks can tell that nobody else listens', () => {
  install()
  expect(process.listeners('SIGTERM').map((listener) => OWN_LISTENER in listener)).toEqual([true])
})

test('a process that exits without asking gives up what is left', () => {
  install()
  process.emit('exit')
  expect(abandon).toHaveBeenCalledOnce()
})

test('a process with nothing left to do sends once', () => {
  install()
  process.emit('beforeExit')
  process.emit('beforeExit')
  expect(flush).toHaveBeenCalledOnce()
})
