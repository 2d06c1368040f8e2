/**
 * What synchronous handlers, async handlers and worker threads cost an Express app, measured here: `npm run compare`. Exits
 * with 1 when a cell has no figures.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { chart } from './chart.ts'
import { document } from './document.ts'
import { compare, type Options } from './measure.ts'
import { textTable } from './table.ts'

const USAGE = `Usage: npm run compare -- [options]

  --rounds <n>     how often each cell has its turn (3)
  --seconds <n>    how long tasks are asked for in each turn (1)
  --service <url>  whom the IO-bound tasks ask, in place of a service of our own
  --json           the figures as JSON on stdout; the table goes to stderr
  --write          write docs/sync-vs-async.md and .svg as well
  --help           this text`

interface CommandLine extends Options {
  readonly json: boolean
  readonly write: boolean
}

function readOptions(): CommandLine {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '1' },
      service: { type: 'string' },
      json: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    process.exit(0)
  }
  const { service, json, write } = values
  const rounds = number('--rounds', values.rounds, 1, 100)
  if (!Number.isInteger(rounds)) throw new Error(`Expected --rounds to be a whole number, got "${values.rounds}".`)
  const seconds = number('--seconds', values.seconds, 0.5, 60)
  if (service !== undefined && !URL.canParse(service)) throw new Error(`Expected --service to be a URL.`)
  return { rounds, seconds, service, json, write }
}

function number(name: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= least && value <= most) return value
  throw new Error(`Expected ${name} to be a number from ${least} to ${most}, got "${text}".`)
}

let options: CommandLine
try {
  options = readOptions()
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`)
  process.exit(2)
}

const comparison = await compare(options, console.error)
const { cells, node, cores, date } = comparison
const print = options.json ? console.error : console.log
print(`\n${textTable(cells)}\n\nTimes in ms. Node ${node}, ${cores} cores, ${date}.`)
if (options.json) console.log(JSON.stringify(comparison, null, 2))

const failed = cells.filter((cell) => cell.failed !== undefined)
if (failed.length > 0) {
  console.error(`${failed.length} of ${cells.length} cells have failed.`)
  process.exitCode = 1
} else if (options.write) {
  const docs = new URL('../../docs/', import.meta.url)
  writeFileSync(new URL('sync-vs-async.md', docs), document(comparison))
  writeFileSync(new URL('sync-vs-async.svg', docs), chart(comparison))
  print('Wrote docs/sync-vs-async.md and docs/sync-vs-async.svg.')
}
