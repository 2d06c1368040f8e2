import type { time } from '@datadog/pprof'
import { Attempt, type Sample } from './sample.ts'
import { type Frame, GARBAGE_COLLECTION, type Stack, type StackTable } from './stacks.ts'

type PprofProfile = ReturnType<typeof time.stop>
type Labels = NonNullable<Parameters<typeof time.stop>[1]>
type Labelled = Parameters<Labels>[0]

/** One interruption of the thread by the sampler. */
interface Tick {
  /** `performance.now()`, ms. */
  readonly at: number
  /** CPU of the thread since the one before, ms. */
  readonly cpu: number
  /** Nothing ran. */
  readonly idle: boolean
  /** Whose it was; undefined: nobody's. */
  readonly attempt: Attempt | undefined
}

/** What is left out of a stack: what the package puts above garbage collections. */
const RUNTIME = 'Node.js'

/**
 * Reads what the sampler has seen since it was last asked. Its labels are the only way to learn of each sample by itself, so
 * each gets its number for one.
 */
export class Window {
  readonly #ticks: Tick[] = []
  /** From the sampler's clock, epoch µs, to `performance.now()`, both of which tell ms. */
  readonly #offset = performance.now() - Date.now()

  /** What `time.stop` is to be given. */
  readonly labels = ({ node, context }: Labelled) => {
    // Of other threads, as a whole.
    if (context === undefined || context.timestamp === 0n) return {}
    const idle = node.name === '(idle)'
    const attempt = context.context instanceof Attempt ? context.context : undefined
    const at = Number(context.timestamp) / 1000 + this.#offset
    this.#ticks.push({ at, cpu: (context.cpuTime ?? 0) / 1e6, idle, attempt })
    return attempt === undefined ? {} : { tick: this.#ticks.length - 1 }
  }

  /**
   * The samples of attempts, in the order of time.
   *
   * @param interval Between two, as asked for, ms.
   * @param until `performance.now()` when it was asked.
   * @param cpu What the thread has used in all that time, ms; undefined where Node cannot tell.
   */
  samples(
    profile: PprofProfile,
    interval: number,
    until: number,
    cpu: number | undefined,
    stacks: StackTable,
  ): Sample[] {
    const stackOf = this.#stacks(profile, stacks)
    const walls = wallTimes(this.#ticks, interval, until)
    const cpus = cpuTimes(this.#ticks, walls, cpu)
    const samples: Sample[] = []
    for (const [index, stack] of stackOf) {
      const { attempt, at } = this.#ticks[index]!
      samples.push({ attempt: attempt!, stack, at, wall: walls[index]!, cpu: cpus[index]! })
    }
    return samples.sort((a, b) => a.at - b.at)
  }

  #stacks(profile: PprofProfile, stacks: StackTable): Map<number, Stack> {
    const { strings } = profile.stringTable
    const key = strings.indexOf('tick')
    const frames: Frame[] = []
    for (const { id, line } of profile.location) {
      const { functionId, line: number } = line[0]!
      const { name, filename } = profile.function[Number(functionId) - 1]!
      const text = strings[Number(name)]!
      frames[Number(id)] = stacks.frame(
        text === 'Garbage Collection' ? GARBAGE_COLLECTION : text,
        strings[Number(filename)]!,
        Number(number),
      )
    }
    const found = new Map<number, Stack>()
    for (const { label, locationId } of profile.sample) {
      const tick = label.find((each) => Number(each.key) === key)
      if (tick === undefined) continue
      const path = locationId.map((id) => frames[Number(id)]!).reverse()
      const own = path[0]!.name === RUNTIME && path[0]!.file === '' && path.length > 1 ? path.slice(1) : path
      found.set(Number(tick.num), stacks.stack(own))
    }
    return found
  }
}

/**
 * For how much of the thread's time each tick stands, ms: up to half the way to the ticks beside it. What the sampler does not
 * tell of (native code outside of JavaScript) leaves gaps that nobody may be charged for: so no more than two intervals,
 * unless that much CPU was used. The last one stands for all that comes after it: V8 has not read the ticks of that time.
 */
export function wallTimes(ticks: readonly Pick<Tick, 'at' | 'cpu'>[], interval: number, until: number): number[] {
  const order = [...ticks.keys()].sort((a, b) => ticks[a]!.at - ticks[b]!.at)
  const walls = new Array<number>(ticks.length)
  for (const [place, index] of order.entries()) {
    const { at, cpu } = ticks[index]!
    const before = at - (ticks[order[place - 1] ?? -1]?.at ?? at - interval)
    const next = ticks[order[place + 1] ?? -1]?.at
    const after = next === undefined ? Math.max(0, 2 * (until - at)) : next - at
    walls[index] = Math.max(Math.min((before + after) / 2, 2 * interval), Math.min(cpu, before))
  }
  return walls
}

/**
 * For how much CPU each tick stands, ms. What was used since the tick before is known, but where the tick found the thread
 * idle, it was used by stretches that began and ended in between. It goes to the ticks that did cut such a stretch: they
 * found it after less CPU than the time they stand for. So the sum is the CPU that the thread has used, except where
 * only idle ticks are.
 *
 * @param all CPU of the thread, with what came after the last tick, ms; undefined where Node cannot tell.
 */
export function cpuTimes(
  ticks: readonly Pick<Tick, 'cpu' | 'idle'>[],
  walls: readonly number[],
  all: number | undefined,
): number[] {
  let short = 0
  let missing = 0
  let seen = 0
  for (const [index, { cpu, idle }] of ticks.entries()) {
    seen += cpu
    if (idle) short += cpu
    else missing += Math.max(0, walls[index]! - cpu)
  }
  if (all !== undefined) short += Math.max(0, all - seen)
  const share = missing === 0 ? 0 : Math.min(1, short / missing)
  return ticks.map(({ cpu, idle }, index) => (idle ? 0 : cpu + share * Math.max(0, walls[index]! - cpu)))
}
