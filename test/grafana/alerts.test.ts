import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { RULE_FILES, rules } from './shipped.ts'

const runbooks = readFileSync(new URL('../../docs/runbooks.md', import.meta.url), 'utf8')
const alerts = rules(RULE_FILES.alerts)
const names = [...new Set(alerts.map(({ alert }) => alert!))]

test('the runbooks are those of the alerts, in their order', () => {
  expect([...runbooks.matchAll(/^## (\w+)$/gm)].map(([, name]) => name)).toEqual(names)
})

describe.each(names)('%s', (name) => {
  test('says how bad it is, what it means, and where its runbook is', () => {
    for (const { labels, annotations } of alerts.filter(({ alert }) => alert === name)) {
      expect(['critical', 'warning']).toContain(labels?.severity)
      expect(annotations?.summary).toMatch(/^[^\n]{20,120}$/)
      expect(annotations?.description).toMatch(/^[^\n]{20,200}[.]$/)
      expect(annotations?.runbook_url).toBe(`docs/runbooks.md#${name.toLowerCase()}`)
    }
  })

  test('has a runbook with a first look, likely causes and what to do', () => {
    const section = runbooks.split(`## ${name}\n`)[1]!.split('\n## ')[0]!
    for (const part of ['First look.', 'Likely causes.', 'What to do.']) expect(section).toContain(`**${part}**`)
  })
})
