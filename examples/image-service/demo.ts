/**
 * The image service under a load of real images, with a live summary: `npm run demo`. With `-- --once` it sends for 30 s,
 * holds what `/metrics` and `/health/tasks` say against what was sent, and exits 0 or 1.
 */
import { parseArgs } from 'node:util'
import { type DemoOptions, runDemo } from './demo/run.ts'

const USAGE = `Usage: npm run demo -- [options]

  --once          send for a while, check /metrics and /health/tasks against what was sent, exit 0 or 1
  --seconds <n>   how long --once sends (30)
  --rate <n>      uploads per second at most (30); the rate follows what the service can do
  --seed <n>      which images are sent in which order (1)
  --log           print the line that the service logs for each attempt
  --help          this text

The service listens on HOST and PORT of the environment, by default on 127.0.0.1 and a free port.`

function readOptions(): DemoOptions {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '30' },
      rate: { type: 'string', default: '30' },
      seed: { type: 'string', default: '1' },
      log: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    process.exit(0)
  }
  const seconds = number('--seconds', values.seconds, 1, 86_400)
  return {
    once: values.once ? seconds : undefined,
    host: process.env.HOST,
    port: number('PORT', process.env.PORT ?? '0', 0, 65_535),
    rate: number('--rate', values.rate, 0.5, 1_000),
    seed: number('--seed', values.seed, 0, 2 ** 32 - 1),
    log: values.log,
  }
}

function number(name: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= least && value <= most)) {
    throw new Error(`Expected ${name} to be a number from ${least} to ${most}, got "${text}".`)
  }
  return value
}

let options: DemoOptions
try {
  options = readOptions()
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`)
  process.exit(2)
}
// The tasks are closed and the traces sent. Without a Jaeger there is no use in waiting for a last try as well.
process.exit(await runDemo(options))
