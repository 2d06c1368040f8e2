/**
 * `npm run bench` runs every benchmark; `npm run bench -- tasks queue` those that are named; `--quick` makes a fast pass with fewer
 * rounds, `--jobs=2000` sends fewer jobs through the engines. What is compared runs in one go, in alternating turns, since a shared
 * machine is never the same a minute later: trust the ratios more than the figures. Exits with 1 when a promise does not hold.
 */

import { cpus } from 'node:os'
import { dashboard } from './dashboard.ts'
import { delivery } from './delivery.ts'
import { bullmq, pgBoss } from './engines.ts'
import { exporter } from './exporter.ts'
import { governor, governorSteady } from './governor.ts'
import { http } from './http.ts'
import { profiler } from './profiler.ts'
import { queue } from './queue.ts'
import { type Bench, holds, print } from './report.ts'
import { tasks } from './tasks.ts'
import { worker } from './worker.ts'

const BENCHES: readonly Bench[] = [
  http,
  tasks,
  queue,
  delivery,
  exporter,
  worker,
  governor,
  governorSteady,
  profiler,
  dashboard,
  bullmq,
  pgBoss,
]

const words = process.argv.slice(2)
const quick = words.includes('--quick')
const jobsGiven = words.find((word) => /^--jobs=\d+$/.test(word))
const jobs = jobsGiven === undefined ? undefined : Number(jobsGiven.slice('--jobs='.length))
const names = words.filter((word) => word !== '--quick' && word !== jobsGiven)
const unknown = names.filter((name) => !BENCHES.some((bench) => bench.name === name))
if (unknown.length > 0) {
  console.error(
    `No benchmark ${unknown.join(', ')}. There are: ${BENCHES.map(({ name }) => name).join(', ')}; --quick, --jobs=n.`,
  )
  process.exit(2)
}

const cores = cpus()
console.log(`Node ${process.versions.node}, ${cores[0]?.model ?? 'unknown CPU'}, ${cores.length} cores\n`)
const broken: string[] = []
for (const bench of BENCHES.filter(({ name }) => names.length === 0 || names.includes(name))) {
  const missing = bench.missing?.()
  if (missing !== undefined) {
    console.log(`${bench.name}: skipped: ${missing}\n`)
    continue
  }
  const started = performance.now()
  const rows = await bench.run({ quick, jobs })
  console.log(`${bench.name}: ${bench.about}  [${Math.round((performance.now() - started) / 1000)} s]`)
  print(rows)
  console.log()
  for (const row of rows) if (holds(row) === false) broken.push(row.label)
}
if (broken.length > 0) {
  console.log(`Promises that do not hold here:\n${broken.map((label) => `  ${label}`).join('\n')}`)
  process.exitCode = 1
} else {
  console.log('Every promise holds.')
}
