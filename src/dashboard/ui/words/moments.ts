import { duration } from './format.ts'

export type Zone = 'utc' | 'local'

/** `12 s ago`, `in 5 min`: one whole unit, because it is counted on each second and the exact moment is at hand. */
export function relative(at: number, now: number): string {
  const seconds = Math.trunc((now - at) / 1_000)
  if (seconds === 0) return 'now'
  const words = duration(coarse(Math.abs(seconds)))
  return seconds > 0 ? `${words} ago` : `in ${words}`
}

/** Beyond a minute nobody wants the seconds, beyond an hour the minutes. */
function coarse(seconds: number): number {
  const unit = [86_400, 3_600, 60].find((size) => seconds >= size) ?? 1
  return Math.floor(seconds / unit) * unit
}

/** The moment to the millisecond with its zone: `2026-11-23 09:05:12.345 UTC`, or `… +01:00`. */
export function exact(at: number, zone: Zone): string {
  const { date, time, offset } = parts(at, zone)
  return `${date} ${time} ${offset}`
}

/** Only the time of day, to the second: on the axes of charts. */
export function clock(at: number, zone: Zone): string {
  return parts(at, zone).time.slice(0, 8)
}

export function iso(at: number): string {
  return valid(at) ? new Date(at).toISOString() : ''
}

function valid(at: number): boolean {
  return Math.abs(at) <= 8.64e15
}

function parts(at: number, zone: Zone): { date: string; time: string; offset: string } {
  if (!valid(at)) return { date: 'no date', time: '', offset: `(${at})` }
  // An offset in minutes west of UTC, as JavaScript has it.
  const west = zone === 'utc' ? 0 : new Date(at).getTimezoneOffset()
  const [date, time] = new Date(at - west * 60_000).toISOString().split(/[TZ]/) as [string, string]
  return { date, time, offset: zone === 'utc' ? 'UTC' : signed(-west) }
}

function signed(east: number): string {
  const minutes = Math.abs(east)
  const two = (number: number) => String(Math.floor(number)).padStart(2, '0')
  return `${east < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}`
}
