import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { RULE_FILES, rules } from '../grafana/shipped.ts'
import { describeWith, promtool } from './harness/backends.ts'

const file = fileURLToPath(new URL('../../grafana/prometheus/tests/alerts.test.yml', import.meta.url))

interface Cases {
  tests: { name: string; alert_rule_test: { alertname: string; eval_time: string; exp_alerts: unknown[] }[] }[]
}

describeWith(['promtool'], 'rules of Prometheus', () => {
  test.each(Object.entries(RULE_FILES))('promtool accepts the %s rules', (_name, path) => {
    expect(promtool(['check', 'rules', '--lint=all', '--lint-fatal', path])).toMatch(/SUCCESS: \d+ rules found/)
  })

  test('alerts fire, say what is wrong, and end, as their tests have it', () => {
    expect(promtool(['test', 'rules', file])).toContain('SUCCESS')
  })

  test('each alert is tested before, while and after it fires', () => {
    const { tests } = parse(readFileSync(file, 'utf8')) as Cases
    for (const alert of new Set(rules(RULE_FILES.alerts).map((rule) => rule.alert!))) {
      const whole = tests.some(({ alert_rule_test }) => {
        const course = alert_rule_test.filter(({ alertname }) => alertname === alert)
        return /^quiet,(fires,)+quiet$/.test(
          course.map(({ exp_alerts }) => (exp_alerts.length > 0 ? 'fires' : 'quiet')).join(),
        )
      })
      expect(whole, alert).toBe(true)
    }
  })
})
