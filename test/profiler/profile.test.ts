import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { profile, sample } from './made.ts'

const HANDLER = 'handler /app/tasks.js:10'
const one = { label: 'resize' }
const busy = profile([
  sample(100, [HANDLER, 'scale /app/scale.js:5'], 'resize', one),
  sample(110, [HANDLER, 'scale /app/scale.js:5', 'scale /app/scale.js:5'], 'resize', one),
  sample(120, [HANDLER, 'parse'], 'resize', one),
  sample(130, [HANDLER, 'scale /app/scale.js:5'], 'resize', { label: 'resize' }),
  sample(140, ['(garbage collection)'], 'resize', one),
])
const HOSTILE = 'a<b>"&\'\n\u001b[31m\u0000\uD800 forged'

describe('the figures', () => {
  test('are sums over the samples; recursion counts once', () => {
    expect(busy).toMatchObject({ samples: 5, attempts: 2, seconds: 1, rate: 100 })
    expect(busy.busy).toBeCloseTo(0.05)
    expect(busy.cpu).toBeCloseTo(0.04)
    const [scale, ...rest] = busy.top()
    expect(scale).toMatchObject({ name: 'scale', file: '/app/scale.js', line: 5, samples: 3 })
    expect(scale!.self).toBeCloseTo(0.03)
    expect(scale!.total).toBeCloseTo(0.03)
    expect(scale!.selfShare).toBeCloseTo(0.6)
    const handler = rest.find(({ name }) => name === 'handler')!
    expect(handler).toMatchObject({ samples: 0, self: 0 })
    expect(handler.total).toBeCloseTo(0.04)
  })

  test('come in the order of the time in the function itself, as many as asked for', () => {
    expect(busy.top(2).map(({ name }) => name)).toEqual(['scale', 'parse'])
    expect(busy.top(Number.POSITIVE_INFINITY)).toHaveLength(4)
    expect(() => busy.top(0)).toThrow(/Expected `n`/)
  })

  test('are all in the JSON', () => {
    const json = JSON.parse(JSON.stringify(busy))
    expect(json).toMatchObject({ task: 'resize', samples: 5, attempts: 2, seconds: 1 })
    expect(json.functions).toHaveLength(4)
    expect(Date.parse(json.from)).toBeCloseTo(performance.timeOrigin, -1)
  })
})

describe('the text', () => {
  test('is a table that says what is an estimate', () => {
    const [head, note, empty, columns, first, ...rest] = busy.text(2).split('\n')
    expect(head).toBe('5 samples of task "resize" in 2 attempts, 1.000 s: 0.050 s on this thread, 0.040 s CPU')
    expect(note).toMatch(/^by samples at 100\/s from .*; all seconds are estimates$/)
    expect(empty).toBe('')
    expect(columns).toMatch(/samples +self s +% +total s +% +function \(file:line\)/)
    expect(first).toMatch(/^ +3 +0\.030 +60\.0 +0\.030 +60\.0 +scale \(\/app\/scale\.js:5\)$/)
    expect(rest).toHaveLength(1)
  })

  test('cannot be forged by the name of a function or a task', () => {
    const text = profile([sample(1, [HOSTILE])], { task: 'evil\n\u001b[2J' }).text()
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for.
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
    expect(text.split('\n')).toHaveLength(5)
  })

  test('says so where nothing was seen, and who ran meanwhile', () => {
    const text = profile([], { meanwhile: [{ task: 'report', seconds: 0.4 }] }).text()
    expect(text).toContain('it was not seen to run')
    expect(text).toContain('meanwhile task "report" had the thread for 0.400 s')
  })
})

test('a .cpuprofile has a tree, and a node for each moment, idle between the attempts', () => {
  const { nodes, samples, timeDeltas, startTime, endTime } = busy.cpuprofile()
  const byId = new Map(nodes.map((node) => [node.id, node]))
  expect(byId.size).toBe(nodes.length)
  expect(nodes[0]!.callFrame.functionName).toBe('(root)')
  const children = nodes.flatMap((node) => node.children)
  expect(new Set(children).size).toBe(children.length)
  expect(children.sort((a, b) => a - b)).toEqual(nodes.slice(1).map(({ id }) => id))
  for (const { callFrame } of nodes) {
    expect(Object.keys(callFrame).sort()).toEqual(['columnNumber', 'functionName', 'lineNumber', 'scriptId', 'url'])
  }
  expect(timeDeltas).toHaveLength(samples.length)
  for (const delta of timeDeltas) expect(delta).toBeGreaterThanOrEqual(0)
  expect(startTime + timeDeltas.reduce((sum, delta) => sum + delta, 0)).toBeLessThanOrEqual(endTime)
  expect(endTime - startTime).toBe(1_000_000)
  const names = samples.map((id) => byId.get(id)!.callFrame.functionName)
  expect(names).toEqual(['(idle)', 'scale', 'scale', 'parse', 'scale', '(garbage collection)', '(idle)'])
  const scale = nodes.find(({ callFrame }) => callFrame.functionName === 'scale')!
  // Lines count from 0 there.
  expect(scale.callFrame).toMatchObject({ url: '/app/scale.js', lineNumber: 4 })
  expect(nodes.reduce((sum, { hitCount }) => sum + hitCount, 0)).toBe(samples.length)
})

test('a pprof file is what another decoder reads', () => {
  const require = createRequire(import.meta.url)
  const { Profile } = createRequire(require.resolve('@datadog/pprof'))('pprof-format')
  const all = profile([sample(1, [HANDLER, 'parse']), sample(11, [HANDLER, 'parse']), sample(21, [HOSTILE], 'other')], {
    task: undefined,
  })
  const decoded = Profile.decode(gunzipSync(all.pprof()))
  const text = (index: number | bigint) => decoded.stringTable.strings[Number(index)]
  expect(text(0)).toBe('')
  const types = decoded.sampleType.map(({ type, unit }: { type: number; unit: number }) => [text(type), text(unit)])
  expect(types).toEqual([
    ['samples', 'count'],
    ['time', 'nanoseconds'],
    ['cpu', 'nanoseconds'],
  ])
  expect(text(decoded.defaultSampleType)).toBe('time')
  expect(Number(decoded.period)).toBe(10_000_000)
  expect(Number(decoded.durationNanos)).toBe(1_000_000_000)
  expect(Number(decoded.timeNanos) / 1e6).toBeCloseTo(performance.timeOrigin, -1)
  const [first, second, ...rest] = decoded.sample
  expect(rest).toEqual([])
  expect(first.value.map(Number)).toEqual([2, 20_000_000, 16_000_000])
  const names = (locations: number[]) =>
    locations.map((id) => {
      const { line } = decoded.location.find((location: { id: number }) => Number(location.id) === Number(id))
      const found = decoded.function.find((each: { id: number }) => Number(each.id) === Number(line[0].functionId))
      return `${text(found.name)} ${text(found.filename)}:${Number(line[0].line)}`
    })
  expect(names(first.locationId)).toEqual(['parse :0', 'handler /app/tasks.js:10'])
  expect(names(second.locationId)).toEqual([`${HOSTILE.toWellFormed()} :0`])
  const labels = second.label.map((label: { key: number; str: number }) => [text(label.key), text(label.str)])
  expect(labels).toEqual([['task', 'other']])
})

describe('the flame graph', () => {
  test('has a box for each function, as wide as its time, in the same order each time', () => {
    const svg = busy.flamegraph()
    expect(svg).toBe(busy.flamegraph())
    expect(svg).toContain('<title>handler (/app/tasks.js:10): 0.040 s, 80.0 %</title>')
    const [, width] = /handler [^<]*<\/title><rect x="[\d.]+" y="\d+" width="([\d.]+)"/.exec(svg)!
    expect(Number(width)).toBeCloseTo(1200 * 0.8)
    expect(svg).not.toContain('<script')
    expect(svg).not.toMatch(/href|url\(/)
  })

  test('escapes what a name may hold', () => {
    const svg = profile([sample(1, [HOSTILE])], { task: HOSTILE }).flamegraph()
    expect(svg).toContain('a&#60;b&#62;&#34;&#38;&#39;')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: XML cannot carry them.
    expect(svg).not.toMatch(/[\u0000-\u0008\u000b-\u001f\uD800-\uDFFF]/)
    const tags = [...svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)].filter(([, , name]) => name !== 'xml')
    const open: string[] = []
    for (const [, closing, name, empty] of tags) {
      if (closing) expect(open.pop()).toBe(name)
      else if (!empty) open.push(name!)
    }
    expect(open).toEqual([])
  })

  test('is a picture of nothing where there is nothing, and has a box for each task where there are many', () => {
    expect(profile([]).flamegraph()).toContain('0 samples')
    const all = profile([sample(1, ['a'], 'mail'), sample(11, ['b'], 'resize')], { task: undefined }).flamegraph()
    expect(all).toContain('task mail')
    expect(all).toContain('task resize')
  })
})

test('save writes the format that the name asks for', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'afterspan-profile-'))
  try {
    const saved = async (ending: string) => {
      await busy.save(join(directory, `p${ending}`))
      return readFile(join(directory, `p${ending}`))
    }
    expect(String(await saved('.txt'))).toContain('scale (/app/scale.js:5)')
    expect(JSON.parse(String(await saved('.json'))).samples).toBe(5)
    expect(JSON.parse(String(await saved('.cpuprofile'))).nodes).toBeDefined()
    expect(String(await saved('.svg'))).toContain('<svg')
    expect(gunzipSync(await saved('.pb.gz')).length).toBeGreaterThan(100)
    await expect(busy.save(join(directory, 'p.html'))).rejects.toMatchObject({ code: 'ERR_AFTERSPAN_OPTION' })
  } finally {
    await rm(directory, { recursive: true })
  }
})
