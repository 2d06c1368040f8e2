import { styleText } from 'node:util'

export type Style = Parameters<typeof styleText>[0]

/** A piece of a line; the style is applied last, so that it never counts as width. */
export interface Span {
  readonly text: string
  readonly style?: Style | undefined
}
export type Line = readonly Span[]

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** Aligned columns under their titles. */
export function table(columns: readonly Column[], rows: readonly (readonly (string | Span)[])[]): Line[] {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'string' ? { text: cell } : cell)))
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((row) => row[i]?.text.length ?? 0)))
  const line = (row: readonly Span[]): Line =>
    columns.map(({ align }, i) => {
      const { text, style } = row[i] ?? { text: '' }
      const gap = i === 0 ? '' : '  '
      return { text: gap + (align === 'left' ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)), style }
    })
  return [line(columns.map(({ title }) => ({ text: title, style: 'dim' }))), ...cells.map(line)]
}

/** The line as text for `stream`: cut to `width`, and with colours where the stream shows them. */
export function paint(line: Line, stream: NodeJS.WriteStream, width = Number.POSITIVE_INFINITY): string {
  let left = width
  let painted = ''
  for (const { text, style } of line) {
    const cut = text.slice(0, left)
    left -= cut.length
    // styleText looks at the stream, NO_COLOR and FORCE_COLOR.
    painted += style === undefined || cut.trim() === '' ? cut : styleText(style, cut, { stream })
  }
  return painted.trimEnd()
}

/** Seconds in three digits and the unit that fits. */
export function duration(seconds: number | null): string {
  if (seconds === null) return '–'
  const ms = seconds * 1000
  if (ms < 9.95) return `${ms.toFixed(1)} ms`
  if (ms < 999.5) return `${ms.toFixed(0)} ms`
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`
  return seconds < 99.95 ? `${seconds.toFixed(1)} s` : `${seconds.toFixed(0)} s`
}
