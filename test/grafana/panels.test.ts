import { readFileSync } from 'node:fs'
import { differenceCiede2000, filterDeficiencyDeuter, filterDeficiencyProt, filterDeficiencyTrit, parse } from 'culori'
import { describe, expect, test } from 'vitest'
import { DASHBOARDS } from '../../grafana/source/dashboard.ts'
import { generatedFiles } from '../../grafana/source/files.ts'
import * as palette from '../../grafana/source/palette.ts'
import { ENGINE_STATES, OUTCOMES, RESULTS, STATES } from '../../src/model/words.ts'
import { dashboards, type ShippedPanel } from './shipped.ts'

const root = new URL('../../grafana/', import.meta.url)

test.each([...generatedFiles()])('grafana/%s is what the code says; if not, run npm run grafana', (path, text) => {
  expect(readFileSync(new URL(path, root), 'utf8')).toBe(text)
})

test('the dashboards are those that their links name', () => {
  expect([...dashboards().keys()].sort()).toEqual(DASHBOARDS.map((name) => `${name}.json`).sort())
  const uids = [...dashboards().values()].map(({ uid }) => uid)
  for (const [file, dashboard] of dashboards()) {
    for (const [, uid] of JSON.stringify(dashboard).matchAll(/"\/d\/([^?"]+)/g)) expect(uids, file).toContain(uid)
  }
})

/** The rows of the grid that a page of 1280 × 800 shows below Grafana's bars: each is 30 px and a gap of 8. */
const FIRST_SCREEN = 16

describe.each([...dashboards()])('%s', (_file, dashboard) => {
  const panels = dashboard.panels.filter(({ type }) => type !== 'row')

  test('each panel says what it is, in what unit, and what to do', () => {
    for (const panel of panels) {
      expect(panel.title, String(panel.id)).toMatch(/^[A-Z].{3,45}$/)
      if (panel.type === 'text') continue
      expect(panel.description, panel.title).toMatch(/^.{20,}\.$/)
      const { unit, noValue, thresholds } = panel.fieldConfig!.defaults
      expect(unit, panel.title).toBeTruthy()
      expect(noValue, panel.title).toBeTruthy()
      expect(thresholds!.steps[0]!.value, panel.title).toBeNull()
      const values = thresholds!.steps.slice(1).map(({ value }) => value!)
      expect(values, panel.title).toEqual([...values].sort((a, b) => a - b))
    }
  })

  test('panels, queries and data sources are complete', () => {
    const ids = dashboard.panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const panel of panels) {
      if (panel.type === 'text') continue
      expect(panel.datasource).toEqual({ type: 'prometheus', uid: '${datasource}' })
      const refIds = panel.targets!.map(({ refId }) => refId)
      expect(refIds, panel.title).toEqual(refIds.map((_, index) => String.fromCharCode(65 + index)))
      for (const { legendFormat, expr } of panel.targets!) {
        expect(legendFormat, panel.title).toBeTruthy()
        // A label that the query does not keep would be shown as nothing.
        for (const [, label] of legendFormat!.matchAll(/{{(\w+)}}/g))
          expect(expr, panel.title).toMatch(new RegExp(`\\b${label}\\b`))
      }
    }
  })

  test('the grid has no gap and no overlap, and what matters most is on the first screen', () => {
    const taken = new Map<string, string>()
    let bottom = 0
    for (const { gridPos, title = '' } of dashboard.panels) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(taken.get(`${x},${y}`), title).toBeUndefined()
          taken.set(`${x},${y}`, title)
        }
      }
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
      bottom = Math.max(bottom, gridPos.y + gridPos.h)
    }
    expect(taken.size).toBe(24 * bottom)
    expect(panels.filter(({ gridPos }) => gridPos.y + gridPos.h <= FIRST_SCREEN).length).toBeGreaterThanOrEqual(4)
  })

  test('a word has its one colour', () => {
    for (const panel of panels) {
      const fixed = colours(panel)
      const legend = panel.targets?.map(({ legendFormat }) => legendFormat).join(' ') ?? ''
      for (const [label, words, expected] of [
        ['task_outcome', OUTCOMES, palette.OUTCOME_COLOURS],
        ['task_result', RESULTS, palette.RESULT_COLOURS],
        ['task_state', STATES, palette.STATE_COLOURS],
        ['engine_state', ENGINE_STATES, palette.ENGINE_STATE_COLOURS],
      ] as const) {
        if (!legend.split(' ').includes(`{{${label}}}`)) continue
        for (const word of words)
          expect(fixed.get(word), `${panel.title}: ${word}`).toBe((expected as Record<string, string>)[word])
      }
    }
  })

  test('tables fit their panels', () => {
    // Of 1280 px a column of the grid has 52; Grafana gives a column without a width 150 px at least.
    for (const panel of panels.filter(({ type }) => type === 'table')) {
      const widths = panel.fieldConfig!.overrides.map(
        ({ properties }) => (properties.find(({ id }) => id === 'custom.width')?.value as number | undefined) ?? 150,
      )
      expect(
        widths.reduce((sum, width) => sum + width, 0),
        panel.title,
      ).toBeLessThanOrEqual(panel.gridPos.w * 52)
    }
  })

  test('columns of tables are those of their queries', () => {
    for (const panel of panels.filter(({ type }) => type === 'table')) {
      const organize = panel.transformations!.find(({ id }) => id === 'organize')!
      const renamed = Object.entries((organize.options as { renameByName: Record<string, string> }).renameByName)
      const fields = panel.targets!.flatMap(({ refId, instant }) =>
        instant ? [`Value #${refId}`, 'Value'] : [`Trend #${refId}`],
      )
      for (const [field, title] of renamed) {
        if (/^(Value|Trend)/.test(field)) expect(fields, panel.title).toContain(field)
        else expect(panel.targets![0]!.expr, `${panel.title}: ${title}`).toContain(field)
      }
      for (const { matcher } of panel.fieldConfig!.overrides) {
        expect(
          renamed.map(([, title]) => title),
          panel.title,
        ).toContain(matcher.options)
      }
    }
  })
})

function colours(panel: ShippedPanel): Map<string, string> {
  const fixed = new Map<string, string>()
  for (const { matcher, properties } of panel.fieldConfig?.overrides ?? []) {
    const colour = properties.find(({ id }) => id === 'color')?.value as { fixedColor?: string } | undefined
    if (matcher.id === 'byName' && colour?.fixedColor !== undefined) fixed.set(matcher.options, colour.fixedColor)
  }
  return fixed
}

describe('colours stay apart', () => {
  const difference = differenceCiede2000()
  const eyes = {
    'with full colour vision': (colour: string) => parse(colour)!,
    'without red cones': (colour: string) => filterDeficiencyProt(1)(parse(colour)!),
    'without green cones': (colour: string) => filterDeficiencyDeuter(1)(parse(colour)!),
    'without blue cones': (colour: string) => filterDeficiencyTrit(1)(parse(colour)!),
  }
  const sets = {
    outcomes: palette.OUTCOME_COLOURS,
    results: palette.RESULT_COLOURS,
    states: palette.STATE_COLOURS,
    'engine states': palette.ENGINE_STATE_COLOURS,
    priorities: palette.PRIORITY_COLOURS,
    thresholds: { good: palette.GOOD, warning: palette.WARNING, bad: palette.BAD_COLOUR },
  }
  const cases = Object.entries(sets).flatMap(([set, colours]) =>
    Object.keys(eyes).map((eye) => ({ set, eye, colours })),
  )
  // CIEDE2000: 2.3 is just noticeable; areas and lines side by side want several times that.
  test.each(cases)('$set, $eye', ({ eye, colours }) => {
    const seen = Object.entries(colours).map(
      ([name, colour]) => [name, eyes[eye as keyof typeof eyes](colour)] as const,
    )
    for (const [index, [name, colour]] of seen.entries()) {
      for (const [other, another] of seen.slice(index + 1)) {
        expect(difference(colour, another), `${name} and ${other}`).toBeGreaterThan(8)
      }
    }
  })
})
