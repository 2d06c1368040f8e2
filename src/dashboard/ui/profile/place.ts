/** A function with the place where it stands, which is what tells two of one name apart. */
export function placeOf(of: { name: string; file: string | null; line: number | null }): string {
  if (of.file === null) return of.name
  return `${of.name} (${of.file}${of.line === null ? '' : `:${of.line}`})`
}
