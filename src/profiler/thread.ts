import { type Profiler as Inspected, Session } from 'node:inspector'
import { Profile } from './profile.ts'
import { type Frame, GARBAGE_COLLECTION, type Stack, StackTable } from './stacks.ts'
import { wallTimes } from './window.ts'

/** What the inspector calls what is no function of anybody's. */
const NOTHING = new Set(['(root)', '(idle)', '(program)'])

/**
 * Samples a thread that does one thing at a time, such as a worker thread: with the inspector that Node has built in, which needs
 * no other package and cannot tell apart what runs at once.
 */
export class ThreadProfile {
  readonly #session = new Session()
  readonly #rate: number
  readonly #since: number
  readonly #cpu = process.threadCpuUsage?.()

  constructor(rate: number) {
    this.#rate = rate
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.setSamplingInterval', { interval: Math.round(1e6 / rate) })
    this.#session.post('Profiler.start')
    this.#since = performance.now()
  }

  /** Ends it. @param task Whose profile it is. */
  stop(task: string): Profile {
    const until = performance.now()
    const spent = this.#cpu && process.threadCpuUsage(this.#cpu)
    let inspected: Inspected.Profile | undefined
    // Within a thread the answer comes before `post` returns.
    this.#session.post('Profiler.stop', (error, answer) => {
      if (error === null) inspected = answer.profile
    })
    this.#session.disconnect()
    const cpu = spent && (spent.user + spent.system) / 1000
    const samples = inspected === undefined ? [] : samplesOf(inspected, this.#since, until, this.#rate, task, cpu)
    return new Profile({ task, since: this.#since, until, rate: this.#rate, samples })
  }
}

function samplesOf(
  { nodes, samples = [], timeDeltas = [] }: Inspected.Profile,
  since: number,
  until: number,
  rate: number,
  label: string,
  cpu: number | undefined,
) {
  const stackOf = stacksOf(nodes)
  let at = since
  const ticks = samples.map((id, index) => {
    at += timeDeltas[index]! / 1000
    return { at, cpu: 0, stack: stackOf.get(id) }
  })
  const walls = wallTimes(ticks, 1000 / rate, until)
  const attempt = { label }
  const busy = ticks.flatMap(({ stack, at }, index) =>
    stack === undefined ? [] : [{ attempt, stack, at, wall: walls[index]! }],
  )
  const all = busy.reduce((sum, { wall }) => sum + wall, 0)
  const share = all === 0 ? 0 : Math.min(1, (cpu ?? all) / all)
  return busy.map((sample) => ({ ...sample, cpu: sample.wall * share }))
}

/** The stack of each node; undefined for what is no function. */
function stacksOf(nodes: Inspected.ProfileNode[]): Map<number, Stack | undefined> {
  const table = new StackTable()
  const frameOf = ({ callFrame: { functionName, url, lineNumber } }: Inspected.ProfileNode): Frame => {
    const name = functionName === '(garbage collector)' ? GARBAGE_COLLECTION : functionName
    const file = url.startsWith('file://') ? url.slice('file://'.length) : url
    return table.frame(name || '(anonymous)', file, Math.max(0, lineNumber + 1))
  }
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const stacks = new Map<number, Stack | undefined>()
  const visit = (node: Inspected.ProfileNode, path: readonly Frame[]) => {
    const own = NOTHING.has(node.callFrame.functionName) ? path : [...path, frameOf(node)]
    stacks.set(node.id, own.length === path.length ? undefined : table.stack(own))
    for (const child of node.children ?? []) visit(byId.get(child)!, own)
  }
  if (nodes[0] !== undefined) visit(nodes[0], [])
  return stacks
}
