/**
 * A text that may be kept: well-formed, and no longer than so many UTF-16 code units. What is cut is copied, since a part of a
 * string keeps the whole of it in memory.
 */
export function boundedText(text: string, limit: number): string {
  if (text.length <= limit) return text.toWellFormed()
  const part = `${text.slice(0, limit - 1).toWellFormed()}…`
  return Buffer.from(part, 'utf8').toString('utf8')
}
