/**
 * What Afterspan costs on an engine: the same jobs, of a handler that does nothing, through the engine's own package with its own
 * tracing, and through Afterspan on it. Each side is a process of its own that adds them all and then works them off, on the
 * same real server, which is emptied in between; the sides take turns, and ratios are of neighbouring turns.
 *
 * The same on all sides: the telemetry of `afterspan/register` with every trace sampled and every span sent to a collector; 64
 * adds under way at a time, 32 jobs at a time; three attempts with an exponential backoff of 1 s, none of which is needed; what
 * is kept of completed and failed jobs; the server's durability (Redis: append-only file, synced every second; PostgreSQL: its
 * defaults). A job counts when the server has said that it has it, or that it is completed. CPU is that of the process with
 * its threads until its last span is sent, and that of the server with its processes.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { Child } from './child.ts'
import type { Part, Phase, Side } from './engine-part.ts'
import { postgresMissing, redisMissing, type Server, startPostgres, startRedis } from './engine-server.ts'
import { type Bench, type BenchOptions, type Row, ratios } from './report.ts'

const JOBS = 20_000
const PHASES = ['adding', 'processing', 'in all'] as const
type PhaseName = (typeof PHASES)[number]

interface Costs extends Phase {
  /** Of the server, s. */
  readonly server: number
}

interface Turn extends Record<PhaseName, Costs> {
  /** Spans that reached the collector, per job. */
  readonly spans: number
}

interface Comparison {
  /** What it is measured by first, and what else it is compared to. */
  readonly alone: readonly [Side, ...Side[]]
  readonly through: Side
  readonly server: string
  readonly start: () => Promise<Server>
}

export const bullmq: Bench = {
  name: 'bullmq',
  about: [
    'Jobs through BullMQ, on Redis with an append-only file.',
    '  bullmq: Queue.add and a Worker, with bullmq-otel for traces and metrics, and the same options of the jobs; "without',
    '  metrics and priority": as it is by default, which is more than a task of medium priority has to compare with.',
    '  bullmq through afterspan: task.defer and tasks.work.',
    '  All: all sampled, 64 adds under way, 32 jobs at once, 3 attempts, the last 1,000 completed are kept.',
  ].join('\n'),
  missing: redisMissing,
  run: (options) =>
    compare(options, {
      alone: ['bullmq', 'bullmq without metrics and priority'],
      through: 'bullmq through afterspan',
      server: 'Redis',
      start: startRedis,
    }),
}

export const pgBoss: Bench = {
  name: 'pg-boss',
  about: [
    'Jobs through pg-boss, on PostgreSQL as it is by default.',
    '  pg-boss: boss.send and boss.work in batches of 32 with a result for each, and a full one followed by the next at once;',
    '  with its own traces and metrics, which has one span for a batch. It is told of jobs by NOTIFY.',
    '  pg-boss through afterspan: task.defer and tasks.work, which has a span for each job.',
    '  Both: all sampled, 64 adds under way, 32 jobs at once, 3 attempts.',
  ].join('\n'),
  missing: postgresMissing,
  run: (options) =>
    compare(options, {
      alone: ['pg-boss'],
      through: 'pg-boss through afterspan',
      server: 'PostgreSQL',
      start: startPostgres,
    }),
}

async function compare({ quick, jobs = JOBS }: BenchOptions, comparison: Comparison): Promise<Row[]> {
  const { alone, through, start } = comparison
  const sides = [...alone, through]
  const turns = new Map<Side, Turn[]>(sides.map((side) => [side, []]))
  const server = await start()
  try {
    for (let round = 0; round < (quick ? 2 : 5); round++) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        turns.get(side)!.push(await turn(side, jobs, server))
      }
    }
  } finally {
    await server.stop()
  }
  return rowsOf(comparison, turns)
}

async function turn(side: Side, jobs: number, server: Server): Promise<Turn> {
  await server.reset()
  const collector = new Child('./collector.ts', { latency: 0 })
  const part: Part = { side, url: server.url, collector: await collector.call<string>('listen'), jobs }
  const child = new Child('./engine-part.ts', part)
  const phase = async (name: 'add' | 'process'): Promise<Costs> => {
    const before = server.cpu()
    const costs = await child.call<Phase>(name)
    return { ...costs, server: server.cpu() - before }
  }
  try {
    await child.call('warm')
    // What the warm-up has left to be written is not to be written in the first phase.
    await sleep(1_000)
    const before = await collector.call<number>('spans')
    const adding = await phase('add')
    const processing = await phase('process')
    const spans = ((await collector.call<number>('spans')) - before) / jobs
    const sum = (figure: keyof Costs) => adding[figure] + processing[figure]
    return { adding, processing, 'in all': { wall: sum('wall'), cpu: sum('cpu'), server: sum('server') }, spans }
  } finally {
    await child.stop()
    await collector.stop()
  }
}

function rowsOf({ alone, through, server }: Comparison, turns: ReadonlyMap<Side, readonly Turn[]>): Row[] {
  const figures = { wall: 'time', cpu: 'CPU of Node', server: `CPU of ${server}` } as const
  const of = (side: Side, phase: PhaseName, figure: keyof Costs) => turns.get(side)!.map((one) => one[phase][figure])
  const rows: Row[] = []
  for (const figure of ['wall', 'cpu', 'server'] as const) {
    for (const phase of PHASES) {
      for (const side of [...alone, through]) {
        rows.push({ label: `${figures[figure]}, ${phase}: ${side}`, unit: 's', values: of(side, phase, figure) })
      }
    }
  }
  for (const side of [...alone, through]) {
    rows.push({ label: `spans per job: ${side}`, unit: '', values: turns.get(side)!.map(({ spans }) => spans) })
  }
  for (const side of alone) {
    for (const figure of ['wall', 'cpu', 'server'] as const) {
      for (const phase of PHASES) {
        rows.push({
          label: `${figures[figure]}, ${phase}, ${through} : ${side}`,
          unit: '×',
          values: ratios(of(through, phase, figure), of(side, phase, figure)),
          ...(side === alone[0] && phase === 'in all' && { promise: { most: 1.1 } }),
        })
      }
    }
  }
  return rows
}
