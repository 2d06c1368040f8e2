/** One line of `/metrics`. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  readonly exemplar: Readonly<Record<string, string>> | undefined
}

const LABELS = String.raw`\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\}`
const LINE = new RegExp(String.raw`^([a-zA-Z_:][\w:]*)(?:${LABELS})? (\S+)(?: [\d.]+)?(?: # ${LABELS} .*)?$`)
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g

/**
 * Reads the text of Prometheus or OpenMetrics.
 *
 * @throws Error for a line that is neither.
 */
export function parseMetrics(text: string): Sample[] {
  const samples: Sample[] = []
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const [, name, labels, value, exemplar] = LINE.exec(line) ?? []
    if (name === undefined || value === undefined) throw new Error(`Not a line of metrics: ${line}`)
    samples.push({
      name,
      labels: parseLabels(labels ?? ''),
      value: Number(value.replace(/Inf$/, 'Infinity')),
      exemplar: exemplar === undefined ? undefined : parseLabels(exemplar),
    })
  }
  return samples
}

function parseLabels(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(LABEL)].map(([, name, value]) => [
      name!,
      value!.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped)),
    ]),
  )
}

/** The sum of the series that have these labels; undefined when there is none. */
export function sum(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>>,
): number | undefined {
  const wanted = Object.entries(labels)
  const found = samples.filter(
    (sample) => sample.name === name && wanted.every(([label, value]) => sample.labels[label] === value),
  )
  return found.length === 0 ? undefined : found.reduce((total, { value }) => total + value, 0)
}
