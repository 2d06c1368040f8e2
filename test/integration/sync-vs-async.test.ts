import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  CELLS,
  MODES,
  type Mode,
  TASK_MS,
  TASKS_PER_SECOND,
  WORKS,
  type Work,
} from '../../examples/sync-vs-async/cells.ts'
import { chart } from '../../examples/sync-vs-async/chart.ts'
import { document } from '../../examples/sync-vs-async/document.ts'
import type { CellResult, Comparison, Figures } from '../../examples/sync-vs-async/measure.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const running = new Set<ChildProcess>()
afterAll(() => {
  for (const child of running) child.kill('SIGKILL')
})

interface Run {
  readonly code: unknown
  readonly stdout: string
  readonly stderr: string
}

async function compare(...args: string[]): Promise<Run> {
  const child = spawn(process.execPath, ['examples/sync-vs-async/compare.ts', ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text) => {
      output[name] += text
    })
  }
  const [code, signal] = await once(child, 'close')
  running.delete(child)
  return { code: code ?? signal, ...output }
}

/** The rows of the table by their names, cell by cell. */
function rowsOf(text: string): Map<string, string[]> {
  const rows = text.split('\n').map((line) => line.split(/ {2,}/))
  return new Map(rows.map(([work, mode, ...rest]) => [`${work}/${mode}`, rest]))
}

const nameOf = ({ work, mode }: { work: Work; mode: Mode }) => `${WORKS[work]}/${MODES[mode]}`

describe('a run', { timeout: 180_000 }, () => {
  let run: Run
  let comparison: Comparison
  const of = (work: Work, mode: Mode): CellResult =>
    comparison.cells.find((cell) => cell.work === work && cell.mode === mode)!
  /** Of the rounds: whatever else the machine does makes waits longer, never shorter. */
  const least = (work: Work, mode: Mode, figure: keyof Figures) =>
    Math.min(...of(work, mode).rounds.map((figures) => figures[figure]))

  beforeAll(async () => {
    run = await compare('--rounds', '2', '--seconds', '0.5', '--json')
    expect(run.code, run.stderr).toBe(0)
    comparison = JSON.parse(run.stdout) as Comparison
  }, 180_000)

  it('completes every task of every cell', () => {
    const all = { tasks: TASKS_PER_SECOND, completed: TASKS_PER_SECOND }
    expect(comparison.cells).toMatchObject(CELLS.map((cell) => ({ ...cell, ...all })))
    for (const cell of comparison.cells) expect(cell.failed).toBeUndefined()
  })

  it('says on what it was made', () => {
    expect(comparison).toMatchObject({ node: process.versions.node, rounds: 2, seconds: 0.5 })
    expect(run.stderr).toContain(`Node ${comparison.node}, ${comparison.cores} cores, ${comparison.date}.`)
  })

  it('has figures that are possible', () => {
    for (const { median, rounds, ...cell } of comparison.cells) {
      for (const [name, value] of Object.entries(median!)) {
        expect(value, `${nameOf(cell)} ${name}`).toBeGreaterThan(0)
        const [first, second] = rounds.map((figures) => figures[name as keyof Figures])
        expect(value).toBeCloseTo((first! + second!) / 2)
      }
      const { effectP50, effectP95, pingP50, pingP99, pingMax, idleP50, idleP99, tasksPerSecond } = median!
      expect(effectP95).toBeGreaterThanOrEqual(effectP50)
      expect(pingP99).toBeGreaterThanOrEqual(pingP50)
      expect(pingMax).toBeGreaterThanOrEqual(pingP99)
      expect(idleP99).toBeGreaterThanOrEqual(idleP50)
      expect(tasksPerSecond).toBeLessThanOrEqual(TASKS_PER_SECOND)
      // Half a second of tasks.
      if (cell.work === 'cpu') expect(median!.cpu).toBeGreaterThan((0.5 * (TASKS_PER_SECOND / 2) * TASK_MS) / 1000)
    }
  })

  it('prints the same figures', () => {
    const rows = rowsOf(run.stderr)
    const titles = rows.get('work/handler')!
    expect(titles).toHaveLength(10)
    const names = {
      'tasks/s': 'tasksPerSecond',
      'run p50': 'run',
      'effect p50': 'effectP50',
      'effect p95': 'effectP95',
      '/ping p50': 'pingP50',
      '/ping p99': 'pingP99',
      'idle p99': 'idleP99',
      'p99 : idle': 'ratio',
      'RSS MB': 'rss',
      'CPU s': 'cpu',
    } as const
    for (const cell of comparison.cells) {
      const row = rows.get(nameOf(cell))!
      for (const [index, title] of titles.entries()) {
        const printed = row[index]!
        const unit = 10 ** -(printed.split('.')[1]?.length ?? 0)
        const value = cell.median![names[title as keyof typeof names]]
        expect(Math.abs(Number(printed) - value), `${nameOf(cell)} ${title}`).toBeLessThanOrEqual(unit * 0.51)
      }
    }
  })

  // More is asked than one thread can do, so at any time a task runs, and holds the loop for its length or not at all.
  it.each<[Work, Mode]>([
    ['io', 'sync'],
    ['cpu', 'sync'],
    ['cpu', 'async'],
  ])('%s %s: /ping waits for a task', (work, mode) => {
    const length = Math.min(least(work, mode, 'run'), TASK_MS)
    expect(least(work, mode, 'pingMax')).toBeGreaterThan(0.9 * length)
    expect(least(work, mode, 'pingP99')).toBeGreaterThan(0.75 * length)
    expect(least(work, mode, 'pingP50')).toBeGreaterThan(0.2 * length)
  })

  it.each<[Work, Mode]>([
    ['io', 'async'],
    ['io', 'worker'],
    ['cpu', 'pool'],
    ['cpu', 'worker'],
  ])('%s %s: /ping does not wait for a task', (work, mode) => {
    expect(least(work, mode, 'pingP50')).toBeLessThan(least(work, 'sync', 'pingP50') / 2)
  })

  it('waits for many answers at once only where the handler is async', () => {
    expect(least('io', 'async', 'effectP50')).toBeLessThan(least('io', 'sync', 'effectP50') / 2)
    expect(of('io', 'async').median!.tasksPerSecond).toBeGreaterThan(of('io', 'sync').median!.tasksPerSecond)
  })

  it('makes a document and a chart with the figures, and nothing of the machine', () => {
    const text = document(comparison)
    const lines = text.split('\n').filter((line) => line.startsWith('| '))
    for (const [name, row] of rowsOf(run.stderr)) {
      if (/^\d/.test(row[0] ?? '')) expect(lines).toContain(`| ${[...name.split('/'), ...row].join(' | ')} |`)
    }
    expect(text).toContain(`Node ${comparison.node} on ${comparison.cores} cores, on ${comparison.date}`)
    expect(text).not.toMatch(/NaN|undefined|Infinity/)

    const svg = chart(comparison)
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    // Bars of a panel are as long as its figures are large.
    const widths = [...svg.matchAll(/<rect class="(?:sync|async|worker)" .*?width="([\d.]+)"/g)].map(([, w]) =>
      Number(w),
    )
    const panels = (['tasksPerSecond', 'effectP95', 'pingP99'] as const).map((name) =>
      comparison.cells.map(({ median }) => median![name]),
    )
    expect(widths).toHaveLength(panels.flat().length)
    for (const [index, figures] of panels.entries()) {
      const bars = widths.slice(index * figures.length, (index + 1) * figures.length)
      const scale = Math.max(...bars) / Math.max(...figures)
      for (const [row, figure] of figures.entries()) expect(Math.abs(bars[row]! - figure * scale)).toBeLessThan(0.2)
    }
    for (const output of [text, svg, run.stdout, run.stderr]) expect(output).not.toContain(ROOT)
  })
})

it('exits 1 and says of each cell why it has no figures, when its tasks fail', async () => {
  const service = createServer((_req, res) => res.writeHead(503).end()).listen(0, '127.0.0.1')
  try {
    await once(service, 'listening')
    const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}/`
    const { code, stdout, stderr } = await compare('--rounds', '1', '--seconds', '0.5', '--service', url)
    expect(code, stderr).toBe(1)
    expect(stderr).toContain('3 of 8 cells have failed.')
    const rows = rowsOf(stdout)
    for (const cell of CELLS) {
      const [first] = rows.get(nameOf(cell))!
      if (cell.work === 'cpu') expect(Number(first)).toBeGreaterThan(0)
      else expect(first).toBe('failed: 40 of 40 tasks failed: The service answered 503.')
    }
  } finally {
    service.close()
    service.closeAllConnections()
  }
}, 180_000)

it.each([
  ['--rounds', 'some'],
  ['--rounds', '1.5'],
  ['--seconds', '0'],
  ['--service', 'here'],
])('says what its options are when %s is %s', async (option, value) => {
  const { code, stderr } = await compare(option, value)
  expect(code).toBe(2)
  expect(stderr).toContain(`Expected ${option} to be`)
})
