import type { ProfileSource } from './profile-source.ts'
import { type Frame, framesOf } from './stacks.ts'

/** A function as it was called from the ones above it. */
export interface TreeNode {
  /** undefined: the whole, or the tasks in it. */
  readonly frame: Frame | undefined
  readonly name: string
  readonly children: Map<string, TreeNode>
  /** ms on the thread, in it and in what it called. */
  total: number
}

/** The calls of a profile, the outermost on top. Of several tasks each has a tree of its own below the root. */
export function treeOf({ task, samples }: ProfileSource): TreeNode {
  const root = node(task === undefined ? 'all tasks' : task, undefined)
  for (const { stack, wall, attempt } of samples) {
    root.total += wall
    let at = root
    if (task === undefined) at = grow(at, `task ${attempt.label}`, undefined, wall)
    for (const frame of [...framesOf(stack)].reverse()) at = grow(at, frame.name, frame, wall)
  }
  return root
}

function node(name: string, frame: Frame | undefined): TreeNode {
  return { name, frame, children: new Map(), total: 0 }
}

function grow(parent: TreeNode, name: string, frame: Frame | undefined, wall: number): TreeNode {
  const key = frame === undefined ? name : `${name}\n${frame.file}:${frame.line}`
  let child = parent.children.get(key)
  if (child === undefined) {
    child = node(name, frame)
    parent.children.set(key, child)
  }
  child.total += wall
  return child
}
