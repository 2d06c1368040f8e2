import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { generatedFiles } from '../../grafana/source/files.ts'
import { DEFAULTS, ParameterError, type Parameters, type Thresholds } from '../../grafana/source/parameters.ts'
import { UsageError } from './usage.ts'

const { thresholds } = DEFAULTS

/** Each threshold with what it says in the help; the option's name is the threshold's in kebab case. */
const THRESHOLDS: Readonly<Record<keyof Thresholds, { value: string; help: string }>> = {
  failureObjective: { value: 'SHARE', help: 'tasks that must not fail or be dropped' },
  effectObjective: { value: 'SHARE', help: 'completed tasks whose effect must come in time' },
  effectWithin: { value: 'SECONDS', help: "in time: one of the bounds of the histogram's buckets" },
  minimumBad: { value: 'COUNT', help: 'failures or late effects below which no budget alert fires' },
  oldest: { value: 'SECONDS', help: 'how long a ready task may wait, for a slot or in its engine' },
  saturation: { value: 'SHARE', help: 'slots that may be taken while tasks wait' },
  amplification: { value: 'NUMBER', help: 'attempts that a task may take on average' },
  deadAfter: { value: 'MINUTES', help: 'how long nothing of a task may finish' },
  zombies: { value: 'COUNT', help: 'attempts that may run on after their timeout' },
  restarts: { value: 'COUNT', help: 'starts of a process within 15 minutes that are too many' },
}

const RUNBOOKS = 'runbooks.md'
const kebab = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
const names = Object.keys(THRESHOLDS) as (keyof Thresholds)[]

export const GRAFANA_HELP = `Usage: afterspan grafana --out DIR [options]

Writes into DIR:
  dashboards/*.json                                 five dashboards: import them, or provision them as files
  prometheus/rules/*.yml                            recording rules and alerts, for rule_files
  prometheus/rules-stock-exporter/*.yml             only for apps on OpenTelemetry's stock PrometheusExporter
  runbooks.md                                       what to do when an alert fires

Options:
  --out DIR                     where to; made if it is not there
  --check                       write nothing; exit 1 if what is in DIR is not what would be written
  --datasource UID              the Prometheus data source that is chosen first (default: Grafana's own default)
  --jaeger URL                  Jaeger's page, for links; '' for none (${DEFAULTS.jaeger})
  --selectors MATCHERS          label matchers for every query, such as 'cluster="eu",env="prod"'
  --namespace PREFIX            what your collector puts before every metric's name
  --runbooks URL                where runbooks.md will be, for the links in alerts (${RUNBOOKS})

Thresholds of panels and alerts:
${names.map((name) => `  ${`--${kebab(name)} ${THRESHOLDS[name].value}`.padEnd(30)}${THRESHOLDS[name].help} (${thresholds[name]})`).join('\n')}
`

/** @returns the exit code. @throws UsageError */
export function exportGrafana(args: string[]): number {
  const { out, check, parameters } = parse(args)
  const files = generate(parameters)
  files.set(RUNBOOKS, readFileSync(new URL('../../docs/runbooks.md', import.meta.url), 'utf8'))
  return check ? compare(out, files) : write(out, files)
}

function parse(args: string[]): { out: string; check: boolean; parameters: Parameters } {
  const text = { type: 'string' } as const
  const options = {
    out: text,
    check: { type: 'boolean' },
    datasource: text,
    jaeger: text,
    selectors: text,
    namespace: text,
    runbooks: text,
    ...Object.fromEntries(names.map((name) => [kebab(name), text])),
  } as const
  let values: Record<string, string | boolean | undefined>
  try {
    values = parseArgs({ args, options, strict: true }).values as typeof values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  if (typeof values.out !== 'string' || values.out === '') throw new UsageError('say where to with --out DIR.')
  const given = (name: string, otherwise: string) => (values[name] as string | undefined) ?? otherwise
  const number = (name: keyof Thresholds) => {
    const value = values[kebab(name)] as string | undefined
    if (value === undefined) return thresholds[name]
    return value.trim() === '' ? Number.NaN : Number(value)
  }
  return {
    out: values.out,
    check: values.check === true,
    parameters: {
      datasource: given('datasource', DEFAULTS.datasource),
      jaeger: given('jaeger', DEFAULTS.jaeger),
      selectors: given('selectors', DEFAULTS.selectors),
      namespace: given('namespace', DEFAULTS.namespace),
      runbooks: given('runbooks', RUNBOOKS),
      thresholds: Object.fromEntries(names.map((name) => [name, number(name)])) as unknown as Thresholds,
    },
  }
}

function generate(parameters: Parameters): Map<string, string> {
  try {
    return generatedFiles(parameters)
  } catch (error) {
    if (!(error instanceof ParameterError)) throw error
    throw new UsageError(error.message.replace(/^\w+/, (name) => `--${kebab(name)}`))
  }
}

function write(out: string, files: ReadonlyMap<string, string>): number {
  try {
    for (const [path, text] of files) {
      const file = join(out, path)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
  } catch (error) {
    throw new UsageError(`cannot write into ${out}: ${(error as Error).message}`)
  }
  process.stdout.write(`${[...files.keys()].map((path) => join(out, path)).join('\n')}

Grafana: import the dashboards, or provision the folder. For exemplars that open a trace, give the Prometheus data source
an exemplar link with the label trace_id to your Jaeger data source, and start Prometheus with
--enable-feature=exemplar-storage. Prometheus: add prometheus/rules/*.yml to rule_files.
`)
  return 0
}

function compare(out: string, files: ReadonlyMap<string, string>): number {
  const different = [...files].filter(([path, text]) => {
    const file = join(out, path)
    return statSync(file, { throwIfNoEntry: false })?.isFile() !== true || readFileSync(file, 'utf8') !== text
  })
  for (const [path] of different) process.stdout.write(`${join(out, path)} is not what would be written\n`)
  return different.length === 0 ? 0 : 1
}
