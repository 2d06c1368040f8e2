import { expect, test } from 'vitest'
import { generatedFiles } from '../../grafana/source/files.ts'
import { DEFAULTS, ParameterError, selectorLabels } from '../../grafana/source/parameters.ts'

test.each([
  [{ datasource: 'no spaces' }, 'datasource: "no spaces"'],
  [{ jaeger: 'jaeger:16686' }, 'jaeger: "jaeger:16686"'],
  [{ jaeger: 'javascript:alert(1)' }, 'jaeger: "javascript:alert(1)"'],
  [{ selectors: 'cluster=eu' }, 'selectors: cluster=eu'],
  [{ selectors: 'cluster="eu",' }, 'selectors: ""'],
  [{ selectors: 'a="b"} or up{c="d"' }, 'selectors: '],
  [{ selectors: 'job="x"' }, 'selectors: the queries choose "job"'],
  [{ namespace: '9lives' }, 'namespace: "9lives"'],
  [{ namespace: 'a-b' }, 'namespace: "a-b"'],
] as const)('%j is refused with a reason', (parameter, message) => {
  expect(() => generatedFiles({ ...DEFAULTS, ...parameter })).toThrow(ParameterError)
  expect(() => generatedFiles({ ...DEFAULTS, ...parameter })).toThrow(message)
})

test.each([
  ['failureObjective', [0.4, 1, Number.NaN, 99]],
  ['effectObjective', [0, 1]],
  ['effectWithin', [0, 20, 31]],
  ['minimumBad', [0, -1]],
  ['oldest', [0, Number.POSITIVE_INFINITY]],
  ['saturation', [0, 1.1]],
  ['amplification', [1]],
  ['deadAfter', [0, 1.5]],
  ['zombies', [-1]],
  ['restarts', [0]],
] as const)('the threshold %s is checked', (name, values) => {
  for (const value of values) {
    expect(() => generatedFiles({ ...DEFAULTS, thresholds: { ...DEFAULTS.thresholds, [name]: value } })).toThrow(
      new RegExp(`^${name}: ${value} is not `),
    )
  }
})

test('thresholds reach the rules and the panels', () => {
  const thresholds = {
    failureObjective: 0.999,
    effectObjective: 0.95,
    effectWithin: 0.5,
    minimumBad: 7,
    oldest: 77,
    saturation: 0.66,
    amplification: 3.3,
    deadAfter: 44,
    zombies: 9,
    restarts: 8,
  }
  const files = generatedFiles({
    ...DEFAULTS,
    datasource: 'my-uid',
    jaeger: 'https://jaeger.example/ui/',
    runbooks: 'https://wiki/run',
    thresholds,
  })
  const alerts = files.get('prometheus/rules/alerts.yml')!
  for (const text of [
    '14.4 * (1 - 0.999)',
    '14.4 * (1 - 0.95)',
    '>= 7)',
    '> 77',
    '>= 0.66',
    '> 3.3',
    '[44m]',
    '> 9',
    '>= 8',
  ]) {
    expect(alerts).toContain(text)
  }
  expect(alerts).toContain('runbook_url: https://wiki/run#afterspanqueuestuck')
  expect(files.get('prometheus/rules/recording.yml')).toContain('le="0.5"')
  const overview = files.get('dashboards/overview.json')!
  expect(overview).toContain('99.9 %')
  expect(overview).toContain('"value": "my-uid"')
  expect(overview).toContain('https://jaeger.example/ui/search?')
})

test('without a Jaeger there is no link to it', () => {
  for (const [path, text] of generatedFiles({ ...DEFAULTS, jaeger: '' })) {
    expect(/search\?service|"service"/.test(text), path).toBe(false)
  }
})

test('labels of selectors', () => {
  expect(selectorLabels('cluster="eu,1",env=~"prod|x=y"')).toEqual(['cluster', 'env'])
  expect(selectorLabels('')).toEqual([])
})
