import { Hidden } from './text.tsx'

/** Narrows a list of tasks to those whose name has what is typed; the key / leads to it. */
export function TaskFilter(props: { value: string; onChange: (filter: string) => void; class?: string }) {
  const { value, onChange, class: name } = props
  return (
    <label class={name}>
      <Hidden>Only tasks whose name has</Hidden>
      <input
        type="search"
        data-search
        placeholder="Filter by name ( / )"
        value={value}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  )
}
