/**
 * The names that Prometheus gives to OpenTelemetry's metrics, as its OTLP receiver does by default, so that a series has
 * one name whichever way it came (OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility"; the rules are
 * those of prometheus/otlptranslator 1.0, tested against a real Prometheus).
 */

/** What an instrument measures, as far as it matters to a name: `updown` never becomes a ratio. */
export type InstrumentKind = 'counter' | 'updown' | 'gauge' | 'histogram'

/** What a UCUM unit is called in a metric's name; others are taken as they stand. */
const UNITS: ReadonlyMap<string, string> = new Map([
  ['d', 'days'],
  ['h', 'hours'],
  ['min', 'minutes'],
  ['s', 'seconds'],
  ['ms', 'milliseconds'],
  ['us', 'microseconds'],
  ['ns', 'nanoseconds'],
  ['By', 'bytes'],
  ['KiBy', 'kibibytes'],
  ['MiBy', 'mebibytes'],
  ['GiBy', 'gibibytes'],
  ['TiBy', 'tibibytes'],
  ['KBy', 'kilobytes'],
  ['MBy', 'megabytes'],
  ['GBy', 'gigabytes'],
  ['TBy', 'terabytes'],
  ['m', 'meters'],
  ['V', 'volts'],
  ['A', 'amperes'],
  ['J', 'joules'],
  ['W', 'watts'],
  ['g', 'grams'],
  ['Cel', 'celsius'],
  ['Hz', 'hertz'],
  ['1', ''],
  ['%', 'percent'],
])

const PER: ReadonlyMap<string, string> = new Map([
  ['s', 'second'],
  ['m', 'minute'],
  ['h', 'hour'],
  ['d', 'day'],
  ['w', 'week'],
  ['mo', 'month'],
  ['y', 'year'],
])

/** The name of a metric's family, without `_total`, and its unit as that stands in the name; '' for none. */
export function familyName(name: string, unit: string, kind: InstrumentKind): { name: string; unit: string } {
  let words = name.split(/[^a-zA-Z0-9:]+/).filter((word) => word !== '')
  let [main, per] = unitWords(unit)
  if (words.includes(main)) main = ''
  if (words.includes(per)) per = ''
  if (per !== '') main = main.replace(/_$/, '')
  let suffixes = [main, per].filter((suffix) => suffix !== '')
  words.push(...suffixes)
  if (kind === 'counter') words = words.filter((word) => word !== 'total')
  if (kind === 'gauge' && unit === '1') {
    suffixes = ['ratio']
    words = [...words.filter((word) => word !== 'ratio'), 'ratio']
  }
  const joined = words.join('_') || '_'
  return { name: /^[0-9]/.test(joined) ? `_${joined}` : joined, unit: suffixes.join('_') }
}

/** The two halves of `By/s`, as words. Annotations such as `{task}` are no units. */
function unitWords(unit: string): [main: string, per: string] {
  const slash = unit.indexOf('/')
  const half = (text: string, words: ReadonlyMap<string, string>) => {
    const plain = text.trim()
    return /[{}]/.test(plain) ? '' : (words.get(plain) ?? plain)
  }
  const main = half(slash === -1 ? unit : unit.slice(0, slash), UNITS)
  const per = slash === -1 ? '' : half(unit.slice(slash + 1), PER)
  const perWord = per === '' ? '' : cleaned(`per_${per}`)
  return [cleaned(main), perWord === 'per_' ? '' : perWord.replace(/_$/, '')]
}

function cleaned(unit: string): string {
  return unit
    .replace(/[^a-zA-Z0-9:]/g, '_')
    .replace(/_+/g, '_')
    .replace(/^_/, '')
}
