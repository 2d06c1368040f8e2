import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { imbalance, type Ledger, type Snapshot } from 'afterspan'
import { describe, expect, test } from 'vitest'

/** Runs one of the fixtures to its end. */
function run(file: string, mode: string, ...nodeOptions: string[]): Promise<{ code: unknown; stdout: string }> {
  const path = fileURLToPath(new URL(`fixtures/brakes/${file}`, import.meta.url))
  return new Promise((resolve) => {
    execFile(process.execPath, [...nodeOptions, path, mode], { timeout: 60_000 }, (error, stdout) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), stdout })
    })
  })
}

/** On a busy machine there may be lines as well on who held the event loop. */
const onPriorities = (lines: readonly string[]) => lines.filter((line) => line.includes('tasks of priority'))

describe('a heap that is nearly full', () => {
  const limit = '--max-old-space-size=256'

  test('is no reason not to start them where the guard is off', async () => {
    const { code, stdout } = await run('heap.mjs', 'unguarded', limit)
    // Most often the process ends for want of memory; where V8 finds room it goes on.
    if (code !== 0) return
    const { full } = JSON.parse(stdout) as { full: { states: string[]; heap: Snapshot['heap'] } }
    expect(full.heap.guarded).toBe(false)
    expect(full.states).not.toEqual(Array(12).fill('ready'))
  })

  test('holds back low tasks and no others, until there is room again; none is lost', async () => {
    const { code, stdout } = await run('heap.mjs', 'guarded', limit)
    expect(code).toBe(0)
    const told = JSON.parse(stdout) as {
      full: { states: string[]; heap: Snapshot['heap'] }
      medium: string
      outcomes: string[]
      ledger: Ledger
      lines: string[]
    }
    expect(told.full.heap).toMatchObject({ guarded: true, limit: 256 * 2 ** 20 })
    expect(told.full.states).toEqual(Array(12).fill('ready'))
    expect(told.medium).toBe('completed')
    expect(told.outcomes).toEqual(['cancelled', ...Array(11).fill('completed')])
    expect(imbalance(told.ledger)).toBe(0)
    const lines = onPriorities(told.lines)
    expect(lines[0]).toMatch(/the heap is at [78]\d % of its limit: tasks of priority low are not started/)
    expect(lines[1]).toMatch(/tasks of priority low are not held back any more/)
  })
})

describe('tasks that hold the event loop', () => {
  interface Told {
    readonly delay: number
    readonly during: number
    readonly governor?: Snapshot['governor']
    readonly ledger: Ledger
    readonly lines: readonly string[]
  }

  test('make it far less late under a governor, are done steadily meanwhile, and all at the end', async () => {
    const told = async (mode: string) => JSON.parse((await run('loop.mjs', mode)).stdout) as Told
    const free = await told('free')
    const governed = await told('governed')
    // 16 slices of 10 ms in a row, so 80 ms for whoever comes in between; 2 ms are allowed.
    expect(free.delay).toBeGreaterThan(30)
    expect(governed.delay).toBeLessThan(free.delay / 5)
    // One in 25 ms is what 2 ms allow; on a busy machine they hold the loop for longer, so that it is fewer.
    expect(governed.during).toBeGreaterThanOrEqual(3)
    expect(governed.during).toBeLessThan(250)
    expect(governed.governor).toMatchObject({ maxDelay: 0.002, holdsBack: true })
    expect(governed.governor!.limits.medium).toBeLessThan(1)
    expect(onPriorities(governed.lines)[0]).toContain('tasks of priority medium are held back')
    for (const { ledger } of [free, governed]) expect(ledger.outcomes.completed).toBe(1_000)
  })
})
