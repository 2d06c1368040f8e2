/** Control characters, and marks that turn the direction of writing: a name must not be able to look like another one. */
const UNSEEN = /\r\n|[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\p{Cs}/gu

const SHORT = new Map([
  ['\n', '↵'],
  ['\r', '‹CR›'],
  ['\r\n', '↵'],
  ['\t', '⇥'],
])

/** One line in which what cannot be seen is spelled out. */
export function oneLine(text: string): string {
  return text.replace(UNSEEN, (mark) => SHORT.get(mark) ?? spelled(mark))
}

/** The same with its lines and tabs kept. */
export function manyLines(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(UNSEEN, (mark) => (mark === '\n' || mark === '\t' ? mark : spelled(mark)))
}

function spelled(mark: string): string {
  return `‹U+${mark.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}›`
}

/** Its first `length` characters, never half of one. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text
  const half = /[\ud800-\udbff]/.test(text[length - 1]!)
  return text.slice(0, half ? length - 1 : length)
}
