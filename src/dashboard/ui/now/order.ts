import type { TaskRow } from '../../protocol.ts'

/** The rows whose name has all the words, whatever their case. */
export function filtered(rows: readonly TaskRow[], filter: string): readonly TaskRow[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return rows
  return rows.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)))
}

/** The rows in the order in which they were held, newcomers last. */
export function inOrder(rows: readonly TaskRow[], held: readonly string[]): readonly TaskRow[] {
  const places = new Map(held.map((name, place) => [name, place]))
  const place = ({ name }: TaskRow) => places.get(name) ?? held.length
  return [...rows].sort((a, b) => place(a) - place(b))
}
