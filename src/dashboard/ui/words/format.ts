/** What stands where nothing was measured. */
export const NONE = '–'

/** At most three digits that say something: 1.2, 12.3, 420. */
function digits(value: number): string {
  return String(Number(value.toPrecision(3)))
}

/** Seconds in the unit in which they read best; from a minute on in two units. */
export function duration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return NONE
  const rounded = Number(seconds.toPrecision(3))
  if (rounded <= 0) return '0 ms'
  if (rounded < 1e-3) return `${digits(rounded * 1e6)} µs`
  if (rounded < 1) return `${digits(rounded * 1e3)} ms`
  if (rounded < 60) return `${digits(rounded)} s`
  const whole = Math.round(seconds)
  if (whole < 3_600) return two(Math.floor(whole / 60), 'min', whole % 60, 's')
  if (whole < 86_400) return two(Math.floor(whole / 3_600), 'h', Math.floor((whole % 3_600) / 60), 'min')
  return two(Math.floor(whole / 86_400), 'd', Math.floor((whole % 86_400) / 3_600), 'h')
}

/** The same for narrow columns and axes: one unit, two digits. */
export function short(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return NONE
  if (seconds < 59.5) return duration(roughly(Math.max(0, seconds)))
  if (seconds < 3_570) return `${tenths(Math.max(1, seconds / 60))} min`
  return seconds < 85_800 ? `${tenths(Math.max(1, seconds / 3_600))} h` : `${tenths(Math.max(1, seconds / 86_400))} d`
}

/** To two digits, but never a digit before the point less: 390 ms, 13 ms, 6.5 ms. */
function roughly(value: number): number {
  if (value === 0) return 0
  const unit = value < 1e-3 ? 1e6 : value < 1 ? 1e3 : 1
  return Number(tenths(value * unit)) / unit
}

function tenths(value: number): string {
  return value < 9.95 ? digits(Number(value.toPrecision(2))) : String(Math.round(value))
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`
}

/** How often something happens, per second, minute or hour: a task that runs twice an hour must not read as 0. */
export function rate(perSecond: number | null): string {
  if (perSecond === null) return NONE
  if (perSecond <= 0) return '0/s'
  if (perSecond >= 0.1) return `${perSecond >= 1_000 ? count(perSecond) : digits(perSecond)}/s`
  const perMinute = perSecond * 60
  return perMinute >= 0.1 ? `${tenths(perMinute)}/min` : `${tenths(perMinute * 60)}/h`
}

/** A share as a percentage that is 0 or 100 only if nothing, or everything, is meant. */
export function ratio(share: number | null): string {
  if (share === null) return NONE
  const percent = share * 100
  if (percent <= 0) return '0 %'
  if (percent >= 100) return '100 %'
  if (percent < 0.01) return '< 0.01 %'
  if (percent >= 99.9) return '> 99.9 %'
  return `${Number(percent.toPrecision(percent >= 10 ? 3 : 2))} %`
}

export function count(number: number | null): string {
  if (number === null) return NONE
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ',')
}

const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function bytes(number: number): string {
  let value = number
  let unit = 0
  while (value >= 1023.5 && unit < BYTES.length - 1) {
    value /= 1024
    unit++
  }
  return `${value >= 1_000 ? Math.round(value) : digits(value)} ${BYTES[unit]}`
}

/** `1 task`, `2 tasks`. */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`
}
