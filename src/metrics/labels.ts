import type { Attributes } from '@opentelemetry/api'

/**
 * Attributes as labels, rendered: `a="1",b="2"`. Where two become one label their values are joined with `;`, as the
 * specification has it. Labels in `reserved` are the format's own; an attribute of that name becomes `exported_…`, as
 * Prometheus itself does with a target's labels.
 */
export function labelsOf(
  attributes: Attributes,
  added: Readonly<Record<string, string>> = {},
  reserved: readonly string[] = [],
): string {
  const labels = new Map<string, string>()
  for (const key of Object.keys(attributes).sort()) {
    const value = text(attributes[key])
    // To Prometheus an empty label is no label.
    if (value === '') continue
    let label = labelName(key)
    if (reserved.includes(label) || Object.hasOwn(added, label)) label = `exported_${label}`
    const before = labels.get(label)
    labels.set(label, before === undefined ? value : `${before};${value}`)
  }
  for (const [label, value] of Object.entries(added)) if (value !== '') labels.set(label, value)
  return [...labels].map(([label, value]) => `${label}="${escapeLabel(value)}"`).join(',')
}

/**
 * A label's name as Prometheus' OTLP receiver makes it by default, but that those which begin with two underscores, which
 * are Prometheus' own (`__name__`), get a word before them too.
 */
export function labelName(name: string): string {
  const plain = name.replace(/[^a-zA-Z0-9_]/gu, '_')
  if (/^[0-9]/.test(plain)) return `key_${plain}`
  return plain === '' || plain.startsWith('_') ? `key${plain}` : plain
}

function text(value: unknown): string {
  if (typeof value === 'string') return value
  try {
    return typeof value === 'object' ? (JSON.stringify(value) ?? '') : String(value ?? '')
  } catch {
    return ''
  }
}

/** A label's value in quotes: `\`, `"` and line feeds are the three that both formats escape. */
export function escapeLabel(value: string): string {
  return value.toWellFormed().replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}
