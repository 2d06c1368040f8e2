/**
 * Both processes under orders, with a worker that is killed and an API that is started anew: `npm run demo:orders`. With
 * `-- --once` it ends by itself, and exits 0 only if every figure is what was sent.
 */
import { parseArgs } from 'node:util'
import { type DemoOptions, runDemo } from './demo/run.ts'

const USAGE = `Usage: npm run demo:orders -- [options]

  --once          send for a while, check every figure, exit 0 or 1; without it, until Ctrl-C
  --seconds <n>   how long --once sends (6)
  --rate <n>      orders per second (10; without --once 4)
  --log           print what both processes log
  --help          this text

The queue is embedded, in a directory. REDIS_URL=redis://… takes BullMQ on Redis, DATABASE_URL=postgres://… pg-boss on PostgreSQL.`

function readOptions(): DemoOptions {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '6' },
      rate: { type: 'string' },
      log: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    process.exit(0)
  }
  const { once, log } = values
  const seconds = number('--seconds', values.seconds, 3, 3_600)
  const rate = number('--rate', values.rate ?? (once ? '10' : '4'), 1, 200)
  return { once: once ? seconds : undefined, rate, log }
}

function number(name: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= least && value <= most) return value
  throw new Error(`Expected ${name} to be a number from ${least} to ${most}, got "${text}".`)
}

let options: DemoOptions
try {
  options = readOptions()
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`)
  process.exit(2)
}
process.exit(await runDemo(options))
