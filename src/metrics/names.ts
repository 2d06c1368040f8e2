/**
 * The names that Prometheus gives to OpenTelemetry's metrics and attributes, as its OTLP receiver does by default
 * (OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility"; prometheus/otlptranslator).
 */

/** What a UCUM unit is called in a metric's name; others are taken as they stand. */
const UNITS: Readonly<Record<string, string>> = {
  d: 'days',
  h: 'hours',
  min: 'minutes',
  s: 'seconds',
  ms: 'milliseconds',
  us: 'microseconds',
  ns: 'nanoseconds',
  By: 'bytes',
  KiBy: 'kibibytes',
  MiBy: 'mebibytes',
  GiBy: 'gibibytes',
  KBy: 'kilobytes',
  MBy: 'megabytes',
  GBy: 'gigabytes',
  m: 'meters',
  V: 'volts',
  A: 'amperes',
  J: 'joules',
  W: 'watts',
  g: 'grams',
  Cel: 'celsius',
  Hz: 'hertz',
  '%': 'percent',
  $: 'dollars',
}

const PER: Readonly<Record<string, string>> = {
  s: 'second',
  m: 'minute',
  h: 'hour',
  d: 'day',
  w: 'week',
  mo: 'month',
  y: 'year',
}

/** The unit as it ends a metric's name; '' for none. Annotations such as `{task}` are no units. */
export function unitSuffix(unit: string, isGauge: boolean): string {
  const plain = unit.replace(/\{[^}]*\}/g, '').trim()
  if (plain === '1') return isGauge ? 'ratio' : ''
  const [base = '', per] = plain.split('/', 2)
  const parts = [UNITS[base] ?? base]
  if (per !== undefined && per !== '') parts.push('per', PER[per] ?? per)
  return parts
    .filter((part) => part !== '')
    .map(sanitize)
    .join('_')
    .replace(/^_+|_+$/g, '')
}

/** A metric's name without the suffix of its kind, and its unit as it stands in it. */
export function familyName(
  name: string,
  unit: string,
  kind: 'counter' | 'gauge' | 'histogram',
): { name: string; unit: string } {
  const suffix = unitSuffix(unit, kind === 'gauge')
  let base = sanitize(name).replace(/_+$/, '') || '_'
  if (kind === 'counter' && base.endsWith('_total')) base = base.slice(0, -'_total'.length) || '_'
  if (suffix !== '' && base !== suffix && !base.endsWith(`_${suffix}`)) base += `_${suffix}`
  return { name: base, unit: suffix }
}

/** A label's name; names with two underscores in front are Prometheus' own. */
export function labelName(name: string): string {
  const label = sanitize(name).replace(/^_{2,}/, '_')
  return label === '_' ? 'key' : label
}

function sanitize(name: string): string {
  const plain = name.replace(/[^a-zA-Z0-9_]/g, '_').replace(/_{2,}/g, '_')
  return /^[0-9]/.test(plain) || plain === '' ? `_${plain}` : plain
}
