/** Where the page is: in the part of the address after `#`, so that it works at whatever path it is served. */
export type Route =
  | { readonly screen: 'now'; readonly filter: string }
  | { readonly screen: 'task'; readonly name: string; readonly range: Range }
  | { readonly screen: 'traces'; readonly search: TraceSearch }
  | { readonly screen: 'trace'; readonly traceId: string; readonly spanId: string | null }
  | { readonly screen: 'queue'; readonly name: string | null }
  | { readonly screen: 'profile'; readonly name: string | null; readonly id: string | null }
  | { readonly screen: 'undeclared' }
  | { readonly screen: 'telemetry' }
  | { readonly screen: 'unknown'; readonly path: string }

/** Seconds. */
export type Range = 900 | 3600

export const SEARCH_FIELDS = ['trace', 'id', 'task', 'route', 'error'] as const
export type SearchField = (typeof SEARCH_FIELDS)[number]
export type TraceSearch = Readonly<Partial<Record<SearchField, string>>> & { readonly failed?: boolean }

export function parse(hash: string): Route {
  const [path = '', query = ''] = divide(hash.replace(/^#?\/?/, ''), '?')
  const parameters = new URLSearchParams(query)
  const [screen = '', ...rest] = path.split('/').map(decode)
  const name = rest.length > 0 && rest[0] !== '' ? rest[0]! : null
  if (rest.length > 1) return { screen: 'unknown', path }
  switch (screen) {
    case '':
      return { screen: 'now', filter: parameters.get('filter') ?? '' }
    case 'tasks':
      if (name === null) return { screen: 'now', filter: '' }
      return { screen: 'task', name, range: parameters.get('range') === '3600' ? 3600 : 900 }
    case 'traces':
      if (name !== null) return { screen: 'trace', traceId: name, spanId: parameters.get('span') }
      return { screen: 'traces', search: searchOf(parameters) }
    case 'queue':
      return { screen: 'queue', name }
    case 'profile':
      return { screen: 'profile', name, id: parameters.get('id') }
    case 'undeclared':
    case 'telemetry':
      if (name === null) return { screen }
  }
  return { screen: 'unknown', path }
}

export function href(route: Exclude<Route, { screen: 'unknown' }>): string {
  switch (route.screen) {
    case 'now':
      return `#/${query({ filter: route.filter })}`
    case 'task':
      return `#/tasks/${encode(route.name)}${query({ range: route.range === 900 ? '' : String(route.range) })}`
    case 'traces':
      return `#/traces${searchQuery(route.search)}`
    case 'trace':
      return `#/traces/${encode(route.traceId)}${query({ span: route.spanId ?? '' })}`
    case 'queue':
      return `#/queue${route.name === null ? '' : `/${encode(route.name)}`}`
    case 'profile':
      return `#/profile${route.name === null ? '' : `/${encode(route.name)}`}${query({ id: route.id ?? '' })}`
    default:
      return `#/${route.screen}`
  }
}

/** What is searched for, as the page's own address and the server's both have it. */
export function searchQuery(search: TraceSearch, more: Readonly<Record<string, string>> = {}): string {
  const { failed, ...fields } = search
  return query({ ...fields, failed: failed ? '1' : '', ...more })
}

function searchOf(parameters: URLSearchParams): TraceSearch {
  const search: Partial<Record<SearchField, string>> = {}
  for (const field of SEARCH_FIELDS) {
    const value = parameters.get(field)?.trim()
    if (value) search[field] = value
  }
  return parameters.get('failed') === '1' ? { ...search, failed: true } : search
}

function query(parameters: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => Boolean(entry[1]))
  const text = new URLSearchParams(given).toString()
  return text === '' ? '' : `?${text}`
}

/** A name as one step of a path: half a surrogate pair, which no address can carry, becomes U+FFFD. */
export function encode(name: string): string {
  return encodeURIComponent(name.toWellFormed())
}

function decode(step: string): string {
  try {
    return decodeURIComponent(step)
  } catch {
    return step
  }
}

function divide(text: string, at: string): [string, string] {
  const index = text.indexOf(at)
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)]
}
