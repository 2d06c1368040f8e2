/** What a benchmark finds, and how it is printed: the median of all rounds, the spread, the promise and whether it holds. */

export interface Row {
  readonly label: string
  readonly unit: string
  /** One per round. */
  readonly values: readonly number[]
  /** What `design` promises of the median. */
  readonly promise?: { readonly most: number } | { readonly least: number }
}

export interface BenchOptions {
  readonly quick: boolean
  /** How many jobs go through an engine; undefined: as many as the benchmark has by itself. */
  readonly jobs: number | undefined
}

export interface Bench {
  readonly name: string
  /** What is compared with what, in a few lines. */
  readonly about: string
  /** Why it cannot run here; undefined where it can. */
  missing?(): string | undefined
  run(options: BenchOptions): Promise<Row[]>
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** @param q From 0 to 1. */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}

/** Ratios round by round: what disturbs the machine for a while disturbs both sides of a round alike. */
export function ratios(of: readonly number[], to: readonly number[]): number[] {
  return of.map((value, index) => value / to[index]!)
}

/** Whether the promise holds; undefined where there is none. */
export function holds({ values, promise }: Row): boolean | undefined {
  if (promise === undefined) return undefined
  const value = median(values)
  return 'most' in promise ? value <= promise.most : value >= promise.least
}

export function print(rows: readonly Row[]): void {
  const lines = rows.map((row) => [
    row.label,
    figure(median(row.values)),
    row.unit,
    row.values.length > 1 ? `${figure(Math.min(...row.values))} … ${figure(Math.max(...row.values))}` : '',
    promiseOf(row),
  ])
  const table = [['', 'median', 'unit', 'spread', 'promise'], ...lines]
  const widths = table[0]!.map((_, column) => Math.max(...table.map((line) => line[column]!.length)))
  for (const line of table) {
    const cells = line.map((cell, column) => (column === 1 ? cell.padStart(widths[1]!) : cell.padEnd(widths[column]!)))
    console.log(`  ${cells.join('  ').trimEnd()}`)
  }
}

function promiseOf(row: Row): string {
  if (row.promise === undefined) return ''
  const bound = 'most' in row.promise ? `≤ ${figure(row.promise.most)}` : `≥ ${figure(row.promise.least)}`
  return `${bound}  ${holds(row) ? 'holds' : 'DOES NOT HOLD'}`
}

function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en')
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 0.1 ? 2 : 3)
}
