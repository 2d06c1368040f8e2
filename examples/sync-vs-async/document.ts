/** Writes `docs/sync-vs-async.md`. Its figures are those of the run, in the words as in the table. */

import { type Mode, PINGS_PER_SECOND, TASK_MS, TASKS_PER_SECOND, type Work } from './cells.ts'
import type { Comparison, Figures } from './measure.ts'
import { markdownTable } from './table.ts'

/** @throws Error where a cell has no figures. */
export function document({ cells, node, cores, date, rounds, seconds }: Comparison): string {
  const of = (work: Work, mode: Mode): Figures => {
    const median = cells.find((cell) => cell.work === work && cell.mode === mode)?.median
    if (median === undefined) throw new Error(`There are no figures of ${work} ${mode}.`)
    return median
  }
  const rate = (work: Work, mode: Mode) => `${of(work, mode).tasksPerSecond.toFixed(0)} tasks/s`
  const p99 = (work: Work, mode: Mode) => `${of(work, mode).pingP99.toFixed(1)} ms`
  const idle = (work: Work, mode: Mode) => `${of(work, mode).idleP99.toFixed(1)} ms`
  const p95 = (work: Work, mode: Mode) => `${of(work, mode).effectP95.toFixed(0)} ms`
  const threads = cores > 2 ? `${cores - 1} threads` : 'one thread'

  return `# Sync against async

*Made by \`npm run compare -- --write\`, with Node ${node} on ${cores} cores, on ${date}: the medians of ${count(rounds, 'round')} with ${count(seconds, 'second')} of requests for each row.*

What a background task costs the requests of its app depends on how its handler does its work. Here an Express app with \`middleware(tasks)\` gets ${TASKS_PER_SECOND} requests a second that defer a task each. A task waits ${TASK_MS} ms for the answer of an HTTP
service, or computes for ${TASK_MS} ms (PBKDF2; every variant makes the same hash, and it is checked). That is more than one thread can do one after the other. ${PINGS_PER_SECOND} requests a second ask the same app for \`/ping\`, until the last task has its outcome.

![Tasks per second, effect and latency of /ping for each handler](sync-vs-async.svg)

${markdownTable(cells)}

Times in ms. *Run* is how long an attempt takes, *effect* the time from the end of the response to the outcome, *idle* the same app just before, without tasks. RSS is the peak of the process since its start, CPU that of the process with all its threads, requests included.

| handler | |
| --- | --- |
| sync | returns when the work is done. For HTTP a thread asks while the event loop stands in \`Atomics.wait\`, since Node has no client that blocks: \`execFileSync('curl')\` would cost a process more |
| async | \`await fetch(…)\`; or an \`async\` function that computes, with \`await\`s of what is there already |
| async, slices | computes 2 ms at a time, with \`await setImmediate()\` in between; \`concurrency: 1\` |
| async, libuv | \`await\` of Node's own \`pbkdf2\`, which runs in a thread of libuv; as many at once as there are worker threads |
| worker thread | \`defineWorker\` with its defaults: a thread less than there are cores, here ${threads}, with a niceness of 10 on Linux |

## What to take from it

- **Work that waits (HTTP, a database, a file): an async handler.** All that wait can wait at once: ${rate('io', 'async')} of the ${TASKS_PER_SECOND} that are asked for, the effect there within ${p95('io', 'async')} at p95, \`/ping\` at ${p99('io', 'async')} p99 where the idle app has ${idle('io', 'async')}.
  Waiting synchronously costs hardly any CPU time and stops everything: ${rate('io', 'sync')}, \`/ping\` ${p99('io', 'sync')}. A worker thread spares \`/ping\` (${p99('io', 'worker')}), but a thread that waits does nothing else: ${rate('io', 'worker')} with ${threads}.
- **Work that computes: a worker thread.** \`/ping\` has ${p99('cpu', 'worker')} at p99 (idle ${idle('cpu', 'worker')}), against ${p99('cpu', 'sync')} in a synchronous handler. No task is faster for it, and a thread does one at a time: ${rate('cpu', 'worker')} with ${threads}, against ${rate('cpu', 'sync')}.
- **\`async\` alone does nothing for it.** A function that computes holds the event loop whatever its name: ${p99('cpu', 'async')}. An \`await\` of something that is there already gives requests no turn.
- **Slices help where a thread is too much.** With steps of 2 ms \`/ping\` has ${p99('cpu', 'slices')}. The CPU time is still that of the event loop: ${rate('cpu', 'slices')}, and requests wait for the step that runs. Give it \`concurrency: 1\`: a turn of the loop runs a step of *every* task that has begun,
  so many at once hold it longer than one that is not sliced.
- **What is native is in threads already.** \`pbkdf2\`, \`zlib\`, \`sharp\` in their async forms need no worker: \`/ping\` ${p99('cpu', 'pool')}, ${rate('cpu', 'pool')}. Give such a task a \`concurrency\` below the number of cores: libuv's threads have no niceness, and file access and DNS wait for the same four.
- **Synchronous is fine for what is over before a request could notice**: a millisecond, not twenty.

## How far it goes

- App, clients and service share the ${cores} cores, and other programs may have had some of them. Rows take turns, so ratios are worth more than figures; run it where yours runs.
- Who falls behind has a backlog that grows as long as the requests come: its effect says how far behind it was in the end, and is longer in a longer run.
- Connections are open and threads started before it begins. While the event loop is held, a new connection waits longer than \`/ping\` does here: Node accepts one in each turn of the loop. The first task of a thread waits for it to start and to load its module.
- A worker thread has a heap of its own and copies its payload. Here it is a few bytes; a large one is worth a \`transfer\`.

[examples/sync-vs-async](../examples/sync-vs-async) is all of it; \`npm run compare -- --help\` says how to run it for longer, or against a service of yours.
`
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`
}
