import type { ProfileSource } from './profile-source.ts'
import type { Stack } from './stacks.ts'

/** `Profiler.Profile` of the Chrome DevTools protocol: what `.cpuprofile` files hold. */
export interface CpuProfile {
  readonly nodes: readonly CpuProfileNode[]
  /** µs. */
  readonly startTime: number
  readonly endTime: number
  /** The node that was active from each moment on. */
  readonly samples: readonly number[]
  /** From the sample before, the first from `startTime`, µs. */
  readonly timeDeltas: readonly number[]
}

export interface CpuProfileNode {
  readonly id: number
  readonly callFrame: {
    readonly functionName: string
    readonly scriptId: string
    readonly url: string
    /** From 0; -1 where it is not known. */
    readonly lineNumber: number
    readonly columnNumber: number
  }
  readonly hitCount: number
  readonly children: readonly number[]
}

type Node = CpuProfileNode & { hitCount: number; children: number[] }

const NATIVE = { scriptId: '0', url: '', lineNumber: -1, columnNumber: -1 }

/** Where none of the profile's attempts ran, the thread is shown as idle. */
export function cpuProfileOf({ since, until, samples: measured }: ProfileSource): CpuProfile {
  const nodes: Node[] = []
  const node = (parent: Node | undefined, callFrame: Node['callFrame']) => {
    const made: Node = { id: nodes.length + 1, callFrame, hitCount: 0, children: [] }
    nodes.push(made)
    parent?.children.push(made.id)
    return made
  }
  const root = node(undefined, { functionName: '(root)', ...NATIVE })
  const idle = node(root, { functionName: '(idle)', ...NATIVE })
  const known = new Map<Stack, Node>()
  const nodeOf = (stack: Stack): Node => {
    let found = known.get(stack)
    if (found === undefined) {
      const { name, file, line } = stack.frame
      const place = file === '' ? NATIVE : { scriptId: '0', url: file, lineNumber: line - 1, columnNumber: -1 }
      found = node(stack.caller === undefined ? root : nodeOf(stack.caller), { functionName: name, ...place })
      known.set(stack, found)
    }
    return found
  }

  const startTime = Math.round(since * 1000)
  const samples: number[] = []
  const timeDeltas: number[] = []
  let last = startTime
  const add = (at: Node, time: number) => {
    at.hitCount++
    samples.push(at.id)
    timeDeltas.push(time - last)
    last = time
  }
  let free = startTime
  for (const { stack, at, wall } of measured) {
    const start = Math.max(free, Math.round((at - wall / 2) * 1000))
    if (start > free) add(idle, free)
    add(nodeOf(stack), start)
    free = Math.max(start, Math.round((at + wall / 2) * 1000))
  }
  const endTime = Math.max(Math.round(until * 1000), free)
  add(idle, free)
  return { nodes, startTime, endTime, samples, timeDeltas }
}
