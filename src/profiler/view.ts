import type { ProfileFrame, ProfileView } from '../model/profiler.ts'
import { type TreeNode, treeOf } from './frame-tree.ts'
import type { ProfileFigures, ProfileRow, ProfileSource } from './profile-source.ts'
import { asPlace } from './stacks.ts'

/** How many functions are listed. */
const TOP = 50
/** What is narrower than this share of all cannot be seen, and is left out. */
const NARROWEST = 1 / 2_000

/** A profile as the page shows it. */
export function viewOf(figures: ProfileFigures, rows: readonly ProfileRow[], source: ProfileSource): ProfileView {
  const tree = treeOf(source)
  return {
    seconds: figures.seconds,
    samples: figures.samples,
    busy: figures.busy,
    cpu: figures.cpu,
    top: rows.slice(0, TOP).map((row) => ({ ...asPlace(row), self: row.self, total: row.total })),
    root: framed(tree, tree.total * NARROWEST),
  }
}

function framed({ name, frame, children, total }: TreeNode, least: number): ProfileFrame {
  return {
    ...(frame === undefined ? { name, file: undefined, line: undefined } : asPlace(frame)),
    value: total / 1000,
    children: [...children.values()]
      .filter((child) => child.total >= least)
      .sort((one, other) => other.total - one.total)
      .map((child) => framed(child, least)),
  }
}
