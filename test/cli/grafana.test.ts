import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { DEFAULTS } from '../../grafana/source/parameters.ts'
import { exportGrafana, GRAFANA_HELP } from '../../src/cli/grafana.ts'
import { UsageError } from '../../src/cli/usage.ts'

let directory: string
let out: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'afterspan-cli-'))
  out = join(directory, 'new', 'folder')
  vi.spyOn(process.stdout, 'write').mockReturnValue(true)
})

afterEach(() => {
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true })
})

const read = (path: string) => readFileSync(join(out, path), 'utf8')

test('writes the dashboards and rules that are in the repository, and the runbooks', () => {
  expect(exportGrafana(['--out', out])).toBe(0)
  const files = readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((path) => path.includes('.'))
  expect(files.length).toBe(5 + 3 + 1)
  for (const path of files) {
    const shipped = path === 'runbooks.md' ? '../../docs/runbooks.md' : `../../grafana/${path}`
    const text = readFileSync(new URL(shipped, import.meta.url), 'utf8')
    // Only the links to the runbooks differ: here they lie beside the rules.
    expect(read(path), path).toBe(path.endsWith('.md') ? text : text.replaceAll('docs/runbooks.md#', 'runbooks.md#'))
  }
})

test('every parameter reaches the files', () => {
  const parameters = ['--datasource', 'mimir-1', '--jaeger', 'https://jaeger.example', '--selectors', 'cluster="eu"']
  expect(
    exportGrafana([
      '--out',
      out,
      ...parameters,
      '--namespace',
      'acme',
      '--runbooks',
      'https://wiki/r',
      '--oldest',
      '60',
    ]),
  ).toBe(0)
  const overview = read('dashboards/overview.json')
  for (const text of [
    '"mimir-1"',
    'https://jaeger.example/search',
    'acme_afterspan_task_finished_total{cluster=\\"eu\\",',
  ]) {
    expect(overview).toContain(text)
  }
  const alerts = read('prometheus/rules/alerts.yml')
  expect(alerts).toContain('acme_afterspan_task_oldest_seconds{cluster="eu"}) > 60')
  expect(alerts).toContain('runbook_url: https://wiki/r#afterspanqueuestuck')
})

test('--check tells what differs and writes nothing', () => {
  expect(exportGrafana(['--out', out, '--check'])).toBe(1)
  expect(readdirSync(directory)).toEqual([])
  exportGrafana(['--out', out])
  expect(exportGrafana(['--out', out, '--check'])).toBe(0)
  expect(exportGrafana(['--out', out, '--check', '--oldest', '60'])).toBe(1)
  writeFileSync(join(out, 'runbooks.md'), 'changed by hand')
  expect(exportGrafana(['--out', out, '--check'])).toBe(1)
  expect(read('runbooks.md')).toBe('changed by hand')
})

test.each([
  [[], 'say where to with --out DIR'],
  [['--out', ''], 'say where to with --out DIR'],
  [['--out', 'x', '--uid', 'y'], "'--uid'"],
  [['--out', 'x', 'y'], 'y'],
  [['--out', 'x', '--oldest', 'soon'], '--oldest: NaN is not a number of seconds from 1.'],
  [['--out', 'x', '--oldest', ''], '--oldest: NaN'],
  [['--out', 'x', '--failure-objective', '99'], '--failure-objective: 99 is not a share from 0.5 to 0.99999'],
  [['--out', 'x', '--selectors', 'eu'], '--selectors: eu is not a label matcher'],
  [['--out', '/dev/null/x'], 'cannot write into /dev/null/x'],
])('%j is refused', (args, message) => {
  expect(() => exportGrafana(args)).toThrow(UsageError)
  expect(() => exportGrafana(args)).toThrow(message)
})

test('the help names every option with its default', () => {
  for (const [name, value] of Object.entries(DEFAULTS.thresholds)) {
    const option = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    expect(GRAFANA_HELP).toMatch(new RegExp(`--${option} .*\\(${value}\\)$`, 'm'))
  }
  expect(GRAFANA_HELP.split('\n').every((line) => line.length <= 120)).toBe(true)
})
