import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'

const run = promisify(execFile)
const fixture = (name: string) => fileURLToPath(new URL(`fixtures/profiler/${name}`, import.meta.url))

/** Node 22 can tell tasks apart only with a flag. */
const major = Number.parseInt(process.versions.node, 10)
const able = major >= 24
const FLAG = '--experimental-async-context-frame'

// biome-ignore lint/suspicious/noExplicitAny: each scenario prints something else.
async function scenario(name: string, nodeOptions: readonly string[] = []): Promise<any> {
  const { stdout } = await run(process.execPath, [...nodeOptions, fixture('profile-app.mjs'), name])
  return JSON.parse(stdout.trim().split('\n').at(-1)!)
}

interface Row {
  name: string
  file: string
  samples: number
  self: number
  total: number
}

describe.runIf(able)('with a Node that can tell tasks apart', () => {
  test('samples are labelled by task across awaits, garbage collection too, and nobody has those of others', async () => {
    const { found, all, loadedAtFirst } = await scenario('labels')
    expect(loadedAtFirst).toBe(false)
    const names = (task: string) => (found[task].top as Row[]).map(({ name }) => name)
    const total = (task: string, name: string) =>
      (found[task].top as Row[]).find((row) => row.name === name)?.total ?? 0
    // 40 stretches of 8 ms each.
    expect(total('a', 'spinA')).toBeGreaterThan(0.2)
    expect(total('a', 'spinA')).toBeLessThan(0.6)
    expect(total('b', 'spinB')).toBeGreaterThan(0.2)
    expect(names('a')).not.toContain('spinB')
    expect(names('b')).not.toContain('spinA')
    expect(found.a.attempts).toBe(1)
    expect(names('garbage')).toContain('(garbage collection)')
    expect(all).toBe(found.a.samples + found.b.samples + found.garbage.samples)
  })

  test('the CPU seconds of a task are those of the thread, in long stretches and in short ones', async () => {
    const { long, short } = await scenario('cpu')
    expect(long.used).toBeGreaterThan(1.9)
    expect(long.counted / long.used).toBeGreaterThan(0.9)
    expect(long.counted / long.used).toBeLessThan(1.05)
    // What Node itself does between them is nobody's. By the samples alone, without what idle ones tell, it would be 0.45.
    expect(short.counted / short.used).toBeGreaterThan(0.7)
    expect(short.counted / short.used).toBeLessThan(1.1)
  })

  test('a slow attempt is profiled by itself: kept, written, linked from its span, and not too often', async () => {
    const { kept, same, spans, files, nodes } = await scenario('slow')
    // Five attempts were slow and one waited; four a minute are profiled, and three of those kept.
    expect(kept).toHaveLength(3)
    expect(same).toBe(true)
    for (const { task, over, duration, top } of kept) {
      expect([task, over]).toEqual(['slow/one', 'threshold'])
      expect(duration).toBeGreaterThan(0.15)
      expect((top as Row[])[0]).toMatchObject({ name: 'spinFor' })
      expect((top as Row[]).map(({ name }) => name)).toContain('spinA')
    }
    const linked = spans.filter((attributes: object) => 'task.profile' in attributes)
    expect(linked.map((span: Record<string, string>) => span['task.name'])).toEqual([
      'waits',
      'slow/one',
      'slow/one',
      'slow/one',
    ])
    expect(linked.at(-1)['task.profile']).toBe(kept[0].id)
    expect(linked.at(-1)['task.profile.file']).toBe(`${kept[0].file}.cpuprofile`)
    expect(kept[0].id).toMatch(/^slow_one-[\w.-]+-1$/)
    expect(files).toEqual(
      kept.flatMap(({ file }: { file: string }) => [`${file}.cpuprofile`, `${file}.pb.gz`]).toSorted(),
    )
    expect(nodes).toBeGreaterThan(3)
  })

  test('a directory that cannot be written is said once, counted, and harms nobody', async () => {
    const { outcomes, lines, caught } = await scenario('unwritable')
    expect(outcomes).toEqual(['completed', 'completed'])
    expect(lines.filter((line: string) => line.includes('profiles cannot be written'))).toHaveLength(1)
    expect(caught).toBe(2)
  })

  test('on demand: the next attempts of one task at a higher rate, and then the usual one again', async () => {
    const { samples, attempts, rate, top, none, after, wrong } = await scenario('capture')
    expect([attempts, rate, after, none, wrong]).toEqual([2, 1_000, 100, 0, 'ERR_AFTERSPAN_OPTION'])
    expect(samples).toBeGreaterThan(100)
    expect((top as Row[])[0]!.name).toBe('spinFor')
  })

  test('`profile: true` logs the first attempt, and samples no longer than that; the package is loaded by it alone', async () => {
    const { lines, loadedAtFirst, loadedBefore, running } = await scenario('asked')
    expect([loadedAtFirst, loadedBefore, running]).toEqual([false, true, false])
    const texts = (task: string) =>
      lines.filter((line: string) => line.startsWith('afterspan: profile:') && line.includes(`task "${task}"`))
    expect(texts('one-line')).toHaveLength(1)
    expect(texts('one-line')[0]).toMatch(/at 1,000\/s/)
    expect(texts('one-line')[0]).toMatch(/spinFor \(.*profile-app\.mjs:\d+\)/)
    expect(texts('often')).toHaveLength(2)
    for (const text of texts('often')) {
      expect(text).toMatch(/at 500\/s/)
      expect(text).toMatch(/function \(file:line\)\n +\d.*spin(For|B) .*(\n.*|)$/)
    }
  })

  test('`profile: true` beside a profiler that runs takes its samples, of as many attempts as it needs', async () => {
    const { lines } = await scenario('askedToo')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^afterspan: profile: \d+ samples of task "t" in [2-6] attempts/)
    expect(lines[0]).toMatch(/at 100\/s/)
  })

  test('a batch that holds the loop is named once, on the span of its run', async () => {
    const { events, blocked } = await scenario('batch')
    expect(events).toHaveLength(1)
    expect(events[0]).toMatchObject({ name: 'event loop blocked', 'code.function.name': 'spinFor' })
    expect(blocked.count).toBe(1)
    expect(blocked.sum).toBeGreaterThan(0.09)
  })

  test('a second one, and one beside that of somebody else, are errors that say so', async () => {
    const mine = await scenario('refused')
    expect([mine.define, mine.start]).toEqual([undefined, undefined])
    expect(mine.again).toMatchObject({
      code: 'ERR_AFTERSPAN_PROFILER',
      message: expect.stringContaining('runs already'),
    })
    const theirs = await scenario('taken')
    for (const refused of [theirs.define, theirs.start]) {
      expect(refused).toMatchObject({ code: 'ERR_AFTERSPAN_PROFILER', message: expect.stringContaining('dd-trace') })
    }
    expect(theirs.plain).toBe('completed')
  })
})

test('a worker thread profiles its own run, without the package, under any Node', async () => {
  const { lines, loaded } = await scenario('worker')
  expect(loaded).toBe(false)
  const texts = lines.filter((line: string) => line.startsWith('afterspan: profile:'))
  expect(texts).toHaveLength(1)
  expect(texts[0]).toMatch(/^afterspan: profile: \d{2,} samples of task "burn" in 1 attempt/)
  expect(texts[0]).toMatch(/default \(.*fixtures\/worker\/task\.mjs:\d+\)/)
})

test('where the package is not installed, define and startProfiler say what to run', async () => {
  const { define, start, plain } = await scenario('refused', ['--require', fixture('not-installed.cjs')])
  for (const refused of [define, start]) {
    expect(refused).toMatchObject({
      code: 'ERR_AFTERSPAN_MISSING_PEER',
      message: expect.stringContaining('npm install @datadog/pprof'),
    })
  }
  expect(plain).toBe('completed')
})

describe.skipIf(able)('with Node 22', () => {
  test('define and startProfiler say what is missing', async () => {
    const { define, start, plain } = await scenario('refused')
    for (const refused of [define, start]) {
      expect(refused).toMatchObject({ code: 'ERR_AFTERSPAN_PROFILER', message: expect.stringContaining(FLAG) })
    }
    expect(plain).toBe('completed')
  })

  test('with the flag it works as ever', async () => {
    const { found } = await scenario('labels', [FLAG])
    const names = (found.a.top as Row[]).map(({ name }) => name)
    expect(names).toContain('spinA')
    expect(names).not.toContain('spinB')
  })
})

interface Stall {
  task: string
  id: string
  function: string
  ms: number
}

interface Blocked {
  stalls: Stall[]
  /** By the spans' events. */
  named: { task: string; id: string; 'code.function.name'?: string }[]
  blocked: Record<string, { count: number; sum: number }>
  others: number[]
  lines: string[]
}

const CULPRITS = ['spin', 'json', 'regex', 'starve', 'crypto', 'files']

// Where a machine is so busy that the sampler itself gets no core, it is asked again.
describe.runIf(able)('who held the event loop', { retry: 2 }, () => {
  test.for([
    ['after', 'mixed', CULPRITS.join()],
    ['before', 'mixed', CULPRITS.join()],
    ['after', 'alone', CULPRITS.join()],
  ] as const)(
    '%s its first await, %s: the culprit and its function in 95 of 100, nobody else',
    async ([where, company, names]) => {
      const { stdout } = await run(process.execPath, [fixture('blocked-app.mjs'), names, company, '8', where])
      const { stalls, named, blocked, others, lines }: Blocked = JSON.parse(stdout)
      const long = stalls.filter(({ ms }) => ms > 50)
      expect(long.length).toBeGreaterThanOrEqual(40)
      if (company === 'mixed') expect(others.length).toBeGreaterThan(2)
      const hits = long.filter((stall) =>
        named.some((name) => name.id === stall.id && name['code.function.name'] === stall.function),
      )
      const missed = long.filter((stall) => !hits.includes(stall))
      expect(hits.length / long.length, JSON.stringify(missed)).toBeGreaterThanOrEqual(0.95)
      expect(named.filter(({ task }) => !task.startsWith('culprit-'))).toEqual([])
      for (const name of CULPRITS) {
        const own = stalls.filter(({ task }) => task === `culprit-${name}`)
        const seconds = own.reduce((sum, { ms }) => sum + ms / 1000, 0)
        const { count, sum } = blocked[`culprit-${name}`]!
        expect(Math.abs(count - own.length), name).toBeLessThanOrEqual(2)
        expect(sum / seconds, name).toBeGreaterThan(0.75)
        // What the machine did in between counts for the loop, and not for a loop that counts its own time.
        expect(sum / seconds, name).toBeLessThan(1.5)
        expect(
          lines.filter((line) => line.includes(`"culprit-${name}" held the event loop for`)).length,
        ).toBeGreaterThan(0)
      }
      expect(lines.filter((line) => line.includes('innocent'))).toEqual([])
    },
  )
})
