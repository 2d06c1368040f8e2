import type { ProfileFigures, ProfileRow } from './profile-source.ts'

/** A table in the manner of Python's cProfile: what it calls tottime is `self`, its cumtime is `total`. */
export function textOf(profile: ProfileFigures, rows: readonly ProfileRow[]): string {
  const { task, samples, attempts, seconds, busy, cpu, rate } = profile
  const of = task === undefined ? 'all tasks' : `task ${JSON.stringify(task)}`
  const lines = [
    `${count(samples, 'sample')} of ${of} in ${count(attempts, 'attempt')}, ${figure(seconds)} s: ${figure(busy)} s on this thread, ${figure(cpu)} s CPU`,
    `by samples at ${rate.toLocaleString('en')}/s from ${profile.from.toISOString()}; all seconds are estimates`,
  ]
  if (samples === 0) lines.push('it was not seen to run: it waited, or ran for less than the time between two samples')
  for (const { task, seconds } of profile.meanwhile) {
    lines.push(`meanwhile task ${JSON.stringify(task)} had the thread for ${figure(seconds)} s`)
  }
  if (rows.length === 0) return lines.join('\n')
  const table = [
    ['samples', 'self s', '%', 'total s', '%', 'function (file:line)'],
    ...rows.map((row) => [
      String(row.samples),
      figure(row.self),
      (row.selfShare * 100).toFixed(1),
      figure(row.total),
      (row.totalShare * 100).toFixed(1),
      placed(row),
    ]),
  ]
  const widths = table[0]!.map((_, column) => Math.max(...table.map((cells) => cells[column]!.length)))
  lines.push('')
  for (const cells of table) {
    lines.push(
      `  ${cells.map((cell, column) => (column === cells.length - 1 ? cell : cell.padStart(widths[column]!))).join('  ')}`,
    )
  }
  return lines.join('\n')
}

function placed({ name, file, line }: ProfileRow): string {
  return printable(file === '' ? name : `${name} (${file}${line === 0 ? '' : `:${line}`})`)
}

/** A function's name is any string: one with line breaks or terminal codes in it must not forge a line. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?').toWellFormed()
}

function figure(seconds: number): string {
  return seconds.toFixed(3)
}

function count(n: number, what: string): string {
  return `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`
}
