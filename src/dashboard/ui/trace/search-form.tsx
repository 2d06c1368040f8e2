import { href, SEARCH_FIELDS, type SearchField, type TraceSearch } from '../router.ts'

const LABELS: Record<SearchField, string> = {
  trace: 'Trace id',
  id: 'Task id',
  task: 'Task',
  route: 'Route',
  error: 'Error',
}

const WHOLE_TRACE_ID = /^[0-9a-f]{32}$/i

/** Goes to the address of what is searched for; a whole trace id leads to the trace itself. */
export function SearchForm({ search }: { search: TraceSearch }) {
  const submit = (event: Event) => {
    event.preventDefault()
    const data = new FormData(event.currentTarget as HTMLFormElement)
    const wanted: Partial<Record<SearchField, string>> = {}
    for (const field of SEARCH_FIELDS) {
      const value = String(data.get(field) ?? '').trim()
      if (WHOLE_TRACE_ID.test(value)) {
        location.hash = href({ screen: 'trace', traceId: value.toLowerCase(), spanId: null })
        return
      }
      if (value !== '') wanted[field] = value
    }
    location.hash = href({ screen: 'traces', search: data.has('failed') ? { ...wanted, failed: true } : wanted })
  }
  return (
    // biome-ignore lint/a11y/useSemanticElements: <search> is not known to all browsers that the page is for
    <form class="search" role="search" onSubmit={submit}>
      {SEARCH_FIELDS.map((field, index) => (
        <label key={field}>
          {LABELS[field]}
          <input
            type="search"
            name={field}
            defaultValue={search[field] ?? ''}
            autocomplete="off"
            spellcheck={false}
            data-search={index === 0 ? true : undefined}
          />
        </label>
      ))}
      <label class="check">
        <input type="checkbox" name="failed" defaultChecked={search.failed === true} /> failed only
      </label>
      <button type="submit" class="primary">
        Search
      </button>
    </form>
  )
}
