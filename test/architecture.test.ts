import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const src = join(root, 'src')

interface SourceFile {
  readonly path: string
  /** The first folder below src, of an engine and of the dashboard's page the second as well; '' for src/index.ts. */
  readonly layer: string
  readonly text: string
  readonly imports: readonly string[]
}

const files: SourceFile[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.tsx?$/.test(path))
  .map((path) => {
    const text = readFileSync(join(src, path), 'utf8')
    return { path, layer: layerOf(path), text, imports: importsOf(text) }
  })

function layerOf(path: string): string {
  const folders = path.split('/').slice(0, -1)
  const two = folders[0] === 'engines' || folders[1] === 'ui'
  return folders.slice(0, two ? 2 : 1).join('/')
}

/** Static and dynamic imports, re-exports, `import type` and `typeof import()` alike: types follow the same rule. */
function importsOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  return [...code.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, specifier]) => specifier!)
}

/** The file of ours that an import means; undefined for a package. */
function target(file: SourceFile, specifier: string): string | undefined {
  return specifier.startsWith('.') ? relative(src, resolve(src, dirname(file.path), specifier)) : undefined
}

const DOORS = [
  'dashboard',
  'engines/bullmq',
  'engines/pg-boss',
  'express',
  'metrics',
  'profiler',
  'sdk',
  'testing',
  'worker',
]
const BELOW: Record<string, readonly string[]> = {
  model: [],
  scheduler: ['model'],
  telemetry: ['model'],
  stats: ['model'],
  background: ['model', 'scheduler', 'telemetry', 'stats'],
  '': ['model', 'stats', 'background', 'profiler'],
  cli: [],
  'dashboard/ui': ['dashboard'],
  ...Object.fromEntries(DOORS.map((door) => [door, ['model', 'scheduler', 'telemetry', 'stats', 'background']])),
}
/** Doors that stand on another door. */
const BETWEEN_DOORS = ['testing → sdk', 'testing → profiler', 'sdk → metrics', 'worker → profiler']

test('every folder has its place in the order of layers', () => {
  expect([...new Set(files.map(({ layer }) => layer))].sort()).toEqual(Object.keys(BELOW).sort())
})

test('imports go from the doors to background to scheduler, telemetry and stats to model, never back, never sideways', () => {
  const wrong: string[] = []
  for (const file of files) {
    for (const specifier of file.imports) {
      const to = target(file, specifier)
      if (to === undefined || layerOf(to) === file.layer) continue
      if (file.layer === 'cli' && to.startsWith('../grafana/source/')) continue
      const allowed =
        BELOW[file.layer]!.includes(layerOf(to)) || BETWEEN_DOORS.includes(`${file.layer} → ${layerOf(to)}`)
      if (!allowed) wrong.push(`${file.path} imports ${to}`)
    }
  }
  expect(wrong).toEqual([])
})

/** What else a door stands on. */
const PEERS: Record<string, readonly string[]> = {
  'dashboard/ui': ['preact', 'preact/hooks', 'uplot', 'uplot/dist/uPlot.min.css'],
  worker: ['piscina'],
  profiler: ['@datadog/pprof'],
  'engines/bullmq': ['bullmq'],
  'engines/pg-boss': ['pg-boss', '@electric-sql/pglite'],
}

test('only sdk and metrics import the OpenTelemetry SDK; the core needs the API alone', () => {
  const wrong: string[] = []
  for (const file of files) {
    for (const specifier of file.imports) {
      if (specifier.startsWith('.') || specifier.startsWith('node:') || specifier === '@opentelemetry/api') continue
      if (file.layer === 'sdk' || file.layer === 'metrics') continue
      if (file.path.endsWith('/vite.config.ts')) continue
      if (PEERS[file.layer]?.includes(specifier)) continue
      wrong.push(`${file.path} imports ${specifier}`)
    }
  }
  expect(wrong).toEqual([])
})

test('the page of the dashboard shares nothing with its server but the protocol, and that only as types', () => {
  const wrong = files
    .filter(({ layer }) => layer === 'dashboard/ui')
    .flatMap((file) => {
      const out = file.imports
        .map((specifier) => target(file, specifier))
        .filter((to) => to && !/^dashboard\/ui\//.test(to))
      const values = [...file.text.matchAll(/^import (?!type ).*protocol\.ts'/gm)]
      return [...out.filter((to) => to !== 'dashboard/protocol.ts'), ...values].map((what) => `${file.path}: ${what}`)
    })
  expect(wrong).toEqual([])
})

test('no file imports itself by way of others', () => {
  const graph = new Map(
    files.map((file) => [file.path, file.imports.flatMap((specifier) => target(file, specifier) ?? [])]),
  )
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (path: string, trail: readonly string[]) => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
    if (done.has(path) || trail.includes(path)) return
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of graph.keys()) visit(path, [])
  expect(cycles).toEqual([])
})

test('a folder has a barrel only where it is a door, and no folder or file is a junk drawer', () => {
  const barrels = files.filter(({ path }) => path.endsWith('index.ts')).map(({ layer }) => layer)
  expect(barrels.filter((layer) => layer !== '' && !DOORS.includes(layer))).toEqual([])
  expect(files.filter(({ path }) => /(utils?|helpers?|common|misc|shared)(\/|\.ts)/.test(path))).toEqual([])
})

test('only the catalogue spells the name of a metric', () => {
  const spelled = files.filter(
    ({ path, text }) =>
      path !== 'telemetry/catalogue.ts' && /^[^*/]*'afterspan\.(task\.|telemetry\.|concurrency\.|uptime)/m.test(text),
  )
  expect(spelled.map(({ path }) => path)).toEqual([])
})

test('the scheduler reads as if telemetry and HTTP did not exist', () => {
  const words = /opentelemetry|\bspan|\btrace\b|metric|http|express|request\b.*\bres\b/i
  const scheduler = files.filter(({ layer }) => layer === 'scheduler')
  const wrong = scheduler.filter(({ text }) =>
    words.test(text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')),
  )
  expect(wrong.map(({ path }) => path)).toEqual([])
})

test('every exported subpath of package.json is a door that exists', () => {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, { default: string } | string>
  }
  const missing = Object.values(exports).flatMap((entry) => {
    if (typeof entry === 'string') return []
    const source = entry.default.replace(/^\.\/dist\//, '').replace(/\.js$/, '.ts')
    return files.some(({ path }) => path === source) ? [] : [entry.default]
  })
  expect(missing).toEqual([])
})
