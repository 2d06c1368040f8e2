export interface Window {
  /** The rows from `first` up to, but without, `end` are to be drawn. */
  readonly first: number
  readonly end: number
}

/** Which of many rows of one height are in sight, and some more on both sides so that scrolling shows no gaps. */
export function windowOf(scrolled: number, height: number, rowHeight: number, total: number, beyond = 12): Window {
  const first = Math.floor(Math.max(0, scrolled) / rowHeight) - beyond
  const end = Math.ceil((Math.max(0, scrolled) + height) / rowHeight) + beyond
  return { first: clamp(first, total), end: clamp(end, total) }
}

function clamp(row: number, total: number): number {
  return Math.max(0, Math.min(row, total))
}
