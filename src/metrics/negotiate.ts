import type { Format } from './text.ts'

interface Offer {
  readonly type: string
  readonly parameters: ReadonlyMap<string, string>
  readonly q: number
}

/** The format that a client prefers; the plain one where it does not ask for OpenMetrics. */
export function formatFor(accept: string | undefined): Format {
  let best = 0
  let format: Format = 'plain'
  for (const { type, parameters, q } of offers(accept ?? '')) {
    const offered = formatOf(type, parameters)
    if (offered === undefined || q <= best) continue
    best = q
    format = offered
  }
  return format
}

/** Whether a client takes gzip. */
export function takesGzip(acceptEncoding: string | undefined): boolean {
  return offers(acceptEncoding ?? '').some(({ type, q }) => type === 'gzip' && q > 0)
}

function formatOf(type: string, parameters: ReadonlyMap<string, string>): Format | undefined {
  if (type === 'application/openmetrics-text') {
    return ['1.0.0', '0.0.1', undefined].includes(parameters.get('version')) ? 'openmetrics' : undefined
  }
  if (type === 'text/plain') return ['0.0.4', undefined].includes(parameters.get('version')) ? 'plain' : undefined
  return type === 'text/*' || type === '*/*' ? 'plain' : undefined
}

/** The entries of an Accept header (RFC 9110, 12.5.1) in the order in which they stand. */
function offers(header: string): Offer[] {
  return header
    .split(',')
    .slice(0, 100)
    .map((entry) => {
      const [type = '', ...rest] = entry.split(';').map((part) => part.trim())
      const parameters = new Map<string, string>()
      for (const parameter of rest) {
        const [key = '', value = ''] = parameter.split('=', 2)
        parameters.set(key.trim().toLowerCase(), value.trim().replace(/^"|"$/g, ''))
      }
      const q = Number(parameters.get('q') ?? 1)
      return { type: type.toLowerCase(), parameters, q: q >= 0 && q <= 1 ? q : 0 }
    })
}
